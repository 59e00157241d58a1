/* Gathers a batch of records, given through the Arrow C data interface, and checks its cells.

   The batch has a time, a dictionary-coded host and a value. Every level of the processor has to
   come to the cells that plain loops come to. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arrow_abi.h"
#include "tidegate_kernels.h"

enum { ROWS = 1200, HOSTS = 3, BUCKETS = 20, MOST = HOSTS * BUCKETS };
enum { COUNT, DEVIATION, SQUARES, MIN, MAX, ORIGIN, RECORD }; /* a cell's record: fold.py */
static const int64_t SPAN = 60000, FIRST_BUCKET = 28333334;

struct cells {
    int64_t n;
    int64_t bucket[MOST];
    int32_t series[MOST];
    double record[MOST * RECORD];
};

static int failures = 0;

static void check(int holds, const char *what, int64_t bucket, int32_t series) {
    if (holds) return;
    failures++;
    fprintf(stderr, "level %d, bucket %lld, series %d: %s\n", tidegate_kernels_level(), (long long)bucket,
            (int)series, what);
}

/* What a consumer of the interface does first: are these the columns it can take? */
static int is_expected(const struct ArrowSchema *schema, const struct ArrowArray *array) {
    return strcmp(schema->format, "+s") == 0 && schema->n_children == 3 && array->n_children == 3 &&
           strcmp(schema->children[0]->format, "l") == 0 && strcmp(schema->children[1]->format, "i") == 0 &&
           schema->children[1]->dictionary && strcmp(schema->children[2]->format, "g") == 0;
}

/* The values of a column without nulls; buffer 0 would be its validity. */
static const void *values(const struct ArrowArray *array, int column, size_t size) {
    const struct ArrowArray *child = array->children[column];
    return (const char *)child->buffers[1] + (size_t)(child->offset + array->offset) * size;
}

static void gather(const struct ArrowArray *array, struct cells *made) {
    const int64_t *time_r = values(array, 0, sizeof *time_r);
    const int32_t *series_r = values(array, 1, sizeof *series_r);
    const double *value_r = values(array, 2, sizeof *value_r);
    const int64_t n = array->length, hosts = array->children[1]->dictionary->length;
    int64_t bucket_u[ROWS], stop_u[ROWS], count[BUCKETS + 1], start_o[ROWS], stop_o[ROWS];
    int64_t bucket_g[BUCKETS + 1], first_g[BUCKETS + 1], rows_g[BUCKETS + 1];
    int32_t position[HOSTS] = {-1, -1, -1};

    int64_t runs = tidegate_find_runs(time_r, n, 0, n, SPAN, 0, bucket_u, ROWS, stop_u, ROWS);
    int64_t groups = tidegate_group_runs(
        bucket_u, runs, stop_u, runs, 0, runs, 0, FIRST_BUCKET, BUCKETS, count, BUCKETS + 1, start_o, ROWS,
        stop_o, ROWS, bucket_g, BUCKETS + 1, first_g, BUCKETS + 1, rows_g, BUCKETS + 1);
    made->n = tidegate_gather(series_r, n, value_r, n, start_o, runs, stop_o, runs, bucket_g, groups, first_g,
                              groups + 1, rows_g, groups, 0, groups, NULL, 0, NULL, 0, NULL, 0, 0, 0, RECORD,
                              hosts, 0, 1, 0, position, HOSTS, made->bucket, MOST, made->series, MOST,
                              made->record, MOST * RECORD);
}

/* The record of one cell, by looking at every row. */
static void expect(const struct ArrowArray *array, int64_t bucket, int32_t series, double *record) {
    const int64_t *time_r = values(array, 0, sizeof *time_r);
    const int32_t *series_r = values(array, 1, sizeof *series_r);
    const double *value_r = values(array, 2, sizeof *value_r);
    const double empty[RECORD] = {0, 0, 0, INFINITY, -INFINITY, 0};
    memcpy(record, empty, sizeof empty);
    for (int64_t i = 0; i < array->length; i++) {
        if (time_r[i] / SPAN != bucket || series_r[i] != series || !isfinite(value_r[i])) continue;
        if (record[COUNT] == 0) record[ORIGIN] = value_r[i];
        const double d = value_r[i] - record[ORIGIN];
        record[COUNT] += 1;
        record[DEVIATION] += d;
        record[SQUARES] += d * d;
        record[MIN] = fmin(record[MIN], value_r[i]);
        record[MAX] = fmax(record[MAX], value_r[i]);
    }
}

static void check_cells(const struct ArrowArray *array, const struct cells *made) {
    double counted = 0, record[RECORD];
    check(made->n == MOST, "not every bucket and host has a cell", made->n, 0);
    for (int64_t k = 0; k < made->n; k++) {
        const double *cell = made->record + k * RECORD;
        expect(array, made->bucket[k], made->series[k], record);
        check(record[COUNT] > 0, "there is no such cell", made->bucket[k], made->series[k]);
        check(memcmp(cell, record, sizeof record) == 0, "another record", made->bucket[k], made->series[k]);
        check(k == 0 || made->bucket[k - 1] <= made->bucket[k], "out of order", made->bucket[k], 0);
        counted += cell[COUNT];
    }
    check(counted == ROWS - 1, "a record was lost", 0, 0);
}

/* The batch: buffers of columns, their types, and a struct of the columns. */
static int64_t when[ROWS];
static int32_t host[ROWS];
static double value[ROWS];
static const int32_t ends[HOSTS + 1] = {0, 3, 6, 8};
static const void *name_buffers[] = {NULL, ends, "webapidb"}, *no_buffers[] = {NULL};
static const void *time_buffers[] = {NULL, when}, *host_buffers[] = {NULL, host};
static const void *value_buffers[] = {NULL, value};
static struct ArrowArray names = {.length = HOSTS, .n_buffers = 3, .buffers = name_buffers};
static struct ArrowArray columns[] = {
    {.length = ROWS, .n_buffers = 2, .buffers = time_buffers},
    {.length = ROWS, .n_buffers = 2, .buffers = host_buffers, .dictionary = &names},
    {.length = ROWS, .n_buffers = 2, .buffers = value_buffers},
};
static struct ArrowArray *children[] = {&columns[0], &columns[1], &columns[2]};
static const struct ArrowArray batch = {
    .length = ROWS, .n_buffers = 1, .n_children = 3, .buffers = no_buffers, .children = children};
static struct ArrowSchema name_type = {.format = "u"};
static struct ArrowSchema types[] = {{.format = "l", .name = "time"},
                                     {.format = "i", .name = "host", .dictionary = &name_type},
                                     {.format = "g", .name = "value"}};
static struct ArrowSchema *type_children[] = {&types[0], &types[1], &types[2]};
static const struct ArrowSchema schema = {.format = "+s", .n_children = 3, .children = type_children};

/* Every pair of records in the wrong order, and one without a value. */
static void fill(void) {
    for (int64_t i = 0; i < ROWS; i++) {
        const int64_t row = i ^ 1;
        when[i] = FIRST_BUCKET * SPAN + row * 1000;
        host[i] = (int32_t)(row * 7 % HOSTS);
        value[i] = (double)(row * 31 % 97) / 8;
    }
    value[77] = NAN;
}

int main(void) {
    fill();
    check(is_expected(&schema, &batch), "these are not the columns", 0, 0);
    const int best = tidegate_kernels_level();
    check(best >= 2, "this processor has none of the levels", 0, 0);
    for (int level = 2; level <= best; level++) {
        static struct cells made;
        memset(&made, 0xff, sizeof made);
        check(tidegate_kernels_use(level) == level, "the level is not used", 0, 0);
        gather(&batch, &made);
        check_cells(&batch, &made);
        printf("x86-64-v%d: %lld cells\n", level, (long long)made.n);
    }
    check(tidegate_kernels_use(5) == best, "a level that does not exist is used", 0, 0);
    return failures ? EXIT_FAILURE : EXIT_SUCCESS;
}
