/* The public functions of the library: each calls its code for the processor at hand.

   Every kernel was compiled once for each level of x86-64; entries.inc, which the emitter writes,
   has a line ENTRY(result, name, (parameters), (arguments)) for each. */
#include "tidegate_kernels.h"

static int best = 0;
static int level = 0;

__attribute__((constructor)) static void choose(void) {
    __builtin_cpu_init();
    if (__builtin_cpu_supports("x86-64-v2")) best = 2;
    if (__builtin_cpu_supports("x86-64-v3")) best = 3;
    if (__builtin_cpu_supports("x86-64-v4")) best = 4;
    level = best;
}

int tidegate_kernels_level(void) { return level; }

int tidegate_kernels_use(int wanted) {
    if (wanted >= 2 && wanted <= best) level = wanted;
    return level;
}

#define ENTRY(result, name, parameters, arguments) \
    extern result name##_v2 parameters;            \
    extern result name##_v3 parameters;            \
    extern result name##_v4 parameters;            \
    result name parameters {                       \
        switch (level) {                           \
        case 4: return name##_v4 arguments;        \
        case 3: return name##_v3 arguments;        \
        default: return name##_v2 arguments;       \
        }                                          \
    }
#include "entries.inc"
