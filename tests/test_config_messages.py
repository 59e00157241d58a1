"""Every message of the contract about a wrong configuration, at its path."""

from __future__ import annotations

import pytest
from tests.config_samples import (
    AC,
    CATEGORY,
    CONDITION,
    D0,
    DAILY,
    MEAN,
    PRUNE,
    RETENTION,
    XBY,
    job,
    problems_of,
    rule_job,
)

from tidegate.config import FUNCTIONS, JobConfig
from tidegate.errors import ConfigError

ID_RULE = (
    "can contain lowercase alphanumeric (a-z and 0-9), hyphens or underscores; "
    "must start and end with alphanumeric"
)
UNLESS = (
    "Unless a count or temporal function is used one of field_name, by_field_name or over_field_name "
    "must be set"
)
RULE0 = f"{D0}.custom_rules[0]"

WRONG = [
    # The job.
    (job(job_id="Web"), "job_id", f"Invalid job_id; 'Web' {ID_RULE}"),
    (job(job_id=""), "job_id", f"Invalid job_id; '' {ID_RULE}"),
    (job(job_id="a" * 65), "job_id", "The job id cannot contain more than 64 characters."),
    (job(job_id=5), "job_id", "job_id must be a string, not 5"),
    (
        job(groups=["ok", "-g"]),
        "groups[1]",
        "Invalid group id '-g'; must be non-empty string and may contain lowercase alphanumeric "
        "(a-z and 0-9), hyphens or underscores; must start and end with alphanumeric",
    ),
    (
        job(groups=["j"]),
        "groups[0]",
        "job and group names must be unique but job [j] and group [j] have the same name",
    ),
    (job(groups="g"), "groups", "groups must be a list of strings, not 'g'"),
    (job(groups=[1]), "groups[0]", "must be a string, not 1"),
    ({"data_description": {}}, AC, "An analysis_config must be set"),
    ({AC: {"detectors": [MEAN]}}, "data_description", "A data_description must be set"),
    (
        job(analysis_confg={}),
        "analysis_confg",
        "unknown field [analysis_confg]; did you mean 'analysis_config'?",
    ),
    (job(zzz=1), "zzz", "unknown field [zzz]"),
    (
        job(model_snapshot_id="s"),
        "",
        "The job is configured with fields [model_snapshot_id] that are illegal to set at job creation",
    ),
    (
        job(create_time=1, job_version="8.0", deleting=False, blocked={}),
        "",
        "The job is configured with fields [job_version, create_time, deleting, blocked] that are illegal to "
        "set at job creation",
    ),
    (job(job_type="opaque"), "job_type", "job_type must be 'anomaly_detector', not 'opaque'"),
    (job(description=[]), "description", "description must be a string, not a list"),
    (
        job(background_persist_interval="30m"),
        "background_persist_interval",
        "background_persist_interval cannot be less than 3,600. Value = 1800",
    ),
    (
        job(background_persist_interval="7200001ms"),
        "background_persist_interval",
        "background_persist_interval has to be a multiple of 1s; actual was '7200001ms'",
    ),
    *(
        (job(**{name: -1}), name, f"{name} cannot be less than 0. Value = -1")
        for name in ("renormalization_window_days", RETENTION, DAILY, "results_retention_days")
    ),
    (
        job(**{RETENTION: 3, DAILY: 4}),
        DAILY,
        f"The value of {DAILY} [4] cannot be greater than {RETENTION} [3]",
    ),
    (job(**{RETENTION: 1.5}), RETENTION, f"{RETENTION} must be an integer, not 1.5"),
    (job(**{RETENTION: 2**60}), RETENTION, f"{RETENTION} cannot be beyond 9007199254740991"),
    (job(results_index_name="No"), "results_index_name", f"Invalid results_index_name; 'No' {ID_RULE}"),
    (job(custom_settings=[]), "custom_settings", "custom_settings must be an object, not a list"),
    (job(custom_settings={"a": {1}}), "custom_settings", "custom_settings must be JSON data, not set"),
    (
        job(custom_settings={"a": float("nan")}),
        "custom_settings",
        "custom_settings must be JSON data, not nan",
    ),
    (job(custom_settings={1: 1}), "custom_settings", "custom_settings must have string keys, not 1"),
    (job(allow_lazy_open="yes"), "allow_lazy_open", "allow_lazy_open must be true or false, not 'yes'"),
    (job(model_plot_config={}), "model_plot_config.enabled", "Required [enabled]"),
    (job(model_plot_config=True), "model_plot_config", "model_plot_config must be an object, not true"),
    # Limits and data description.
    (
        job(analysis_limits={"model_memory_limit": "0mb"}),
        "analysis_limits.model_memory_limit",
        "model_memory_limit must be at least 1 MiB. Value = 0",
    ),
    (
        job(analysis_limits={"model_memory_limit": "1000kb"}),
        "analysis_limits.model_memory_limit",
        "model_memory_limit must be at least 1 MiB. Value = 0",
    ),
    (
        job(analysis_limits={"model_memory_limit": "many"}),
        "analysis_limits.model_memory_limit",
        "model_memory_limit must be a memory size such as '512mb', or a number of MiB",
    ),
    (
        job(analysis_limits={"categorization_examples_limit": -1}),
        "analysis_limits.categorization_examples_limit",
        "categorization_examples_limit cannot be less than 0. Value = -1",
    ),
    (
        job(data={"time_format": "yyyy-Q!{"}),
        "data_description.time_format",
        "Invalid Time format string 'yyyy-Q!{': ",
    ),
    (job(data={"time_field": ""}), "data_description.time_field", "time_field must not be empty"),
    (
        job(data={"format": "csv"}),
        "data_description.format",
        "[data_description] failed to parse field [format]",
    ),
    (
        job(data={"time_field": "x"}),
        "data_description.time_field",
        "data_description.time_field may not be used in the analysis_config",
    ),
    (
        job(data={"time_field": "host"}, analysis={"influencers": ["host"]}),
        "data_description.time_field",
        "data_description.time_field may not be used in the analysis_config",
    ),
    # The analysis.
    (
        job(analysis={"bucket_span": "0s"}),
        f"{AC}.bucket_span",
        "bucket_span cannot be less or equal than 0. Value = 0",
    ),
    (
        job(analysis={"bucket_span": -300}),
        f"{AC}.bucket_span",
        "bucket_span cannot be less or equal than 0. Value = -300",
    ),
    (
        job(analysis={"bucket_span": "500ms"}),
        f"{AC}.bucket_span",
        "bucket_span has to be a multiple of 1s; actual was '500ms'",
    ),
    (
        job(analysis={"bucket_span": "soon"}),
        f"{AC}.bucket_span",
        "bucket_span must be a whole number with one of the units d, h, m, s, ms, micros, nanos; "
        "actual was 'soon'",
    ),
    (job(analysis={"bucket_span": "9999d"}), f"{AC}.bucket_span", "bucket_span cannot be longer than 3650d"),
    (job(analysis={"detectors": []}), f"{AC}.detectors", "No detectors configured"),
    ({AC: {}, "data_description": {}}, f"{AC}.detectors", "No detectors configured"),
    (
        job(analysis={"detectors": {}}),
        f"{AC}.detectors",
        "detectors must be a list of objects, not an object",
    ),
    (job(analysis={"detectors": ["mean"]}), D0, "detectors must be an object, not 'mean'"),
    (job(MEAN, MEAN), f"{AC}.detectors[1]", "Duplicate detectors are not allowed: [mean(x)]"),
    (
        job({**MEAN, "detector_index": 0}, {"function": "avg", "field_name": "x", "detector_index": 1}),
        f"{AC}.detectors[1]",
        "Duplicate detectors are not allowed: [mean(x)]",
    ),
    (job(analysis={"latency": "-1s"}), f"{AC}.latency", "latency cannot be less than 0. Value = -1"),
    (
        job(analysis={"latency": "1500ms"}),
        f"{AC}.latency",
        "latency has to be a multiple of 1s; actual was '1500ms'",
    ),
    (
        job(MEAN, {"field_name": "y"}, analysis={"summary_count_field_name": "n"}),
        f"{AC}.detectors[1].function",
        "The 'metric' function cannot be used in jobs that will take pre-summarized input",
    ),
    (job(XBY), f"{AC}.{CATEGORY}", f"{CATEGORY} must be set for mlcategory to be available"),
    (
        job(analysis={CATEGORY: "m"}),
        f"{AC}.{CATEGORY}",
        f"{CATEGORY} is set but mlcategory is not used in any detector by/over/partition field",
    ),
    (
        job(
            XBY,
            analysis={CATEGORY: "m", "categorization_filters": ["a"], "categorization_analyzer": {"t": "x"}},
        ),
        f"{AC}.categorization_filters",
        "categorization_filters cannot be used with categorization_analyzer - instead specify them as "
        "pattern_replace char_filters in the analyzer",
    ),
    (
        job(analysis={PRUNE: "12m"}),
        f"{AC}.{PRUNE}",
        "model_prune_window [12m] must be a multiple of bucket_span [5m]",
    ),
    (
        job(analysis={PRUNE: "5m"}),
        f"{AC}.{PRUNE}",
        "model_prune_window [5m] must be at least 2 times greater than bucket_span [5m]",
    ),
    (
        job({**MEAN, "by_field_name": "a.b"}, analysis={"influencers": ["a"]}),
        AC,
        "Fields [a] and [a.b] cannot both be used in the same analysis_config",
    ),
    (
        job(analysis={"influencer": []}),
        f"{AC}.influencer",
        "unknown field [influencer]; did you mean 'influencers'?",
    ),
    # Detectors.
    (
        job({"function": "averge", "field_name": "x"}),
        f"{D0}.function",
        "Unknown function 'averge'; did you mean 'mean'?",
    ),
    (job({"function": "qqqq", "field_name": "x"}), f"{D0}.function", "Unknown function 'qqqq'"),
    (job({"function": 7}), f"{D0}.function", "function must be a string, not 7"),
    (job({}), D0, UNLESS),
    (job({"function": "mean"}), D0, UNLESS),
    (job({"function": "rare"}), D0, UNLESS),
    (
        job({"function": "avg", "by_field_name": "b"}),
        f"{D0}.field_name",
        "field_name must be set when the 'mean' function is used",
    ),
    (
        job({"function": "count", "field_name": "x"}),
        f"{D0}.field_name",
        "field_name cannot be used with function 'count'",
    ),
    (
        job({"function": "rare", "over_field_name": "o"}),
        f"{D0}.by_field_name",
        "by_field_name must be set when the 'rare' function is used",
    ),
    (
        job({"function": "freq_rare", "by_field_name": "b"}),
        f"{D0}.over_field_name",
        "over_field_name must be set when the 'freq_rare' function is used",
    ),
    (
        job({"function": "nzc", "over_field_name": "o"}),
        f"{D0}.over_field_name",
        "over_field_name cannot be used with function 'non_zero_count'",
    ),
    *(
        (
            job({**MEAN, role: name}),
            f"{D0}.{role}",
            f"Invalid field name '{name}'. Field names including over, by and partition fields cannot "
            'contain any of these characters: ",\\',
        )
        for role in ("field_name", "by_field_name", "over_field_name", "partition_field_name")
        for name in ('a"b', "a\\b", "a\nb", "a\x7f")
    ),
    *(
        (
            job({**MEAN, first: "s", second: "s"}),
            f"{D0}.{first}",
            f"{first} and {second} cannot be the same: 's'",
        )
        for first, second in (
            ("partition_field_name", "by_field_name"),
            ("partition_field_name", "over_field_name"),
            ("by_field_name", "over_field_name"),
        )
    ),
    *(
        (job({**MEAN, role: name}), f"{D0}.{role}", f"'{name}' is not a permitted value for {role}")
        for role in ("by_field_name", "over_field_name")
        for name in ("count", "by", "over")
    ),
    (
        job({**MEAN, "exclude_frequent": "some"}),
        f"{D0}.exclude_frequent",
        "exclude_frequent 'some' is not one of all, none, by, over",
    ),
    (job({**MEAN, "use_null": "maybe"}), f"{D0}.use_null", "use_null must be true or false, not 'maybe'"),
    (
        job({**MEAN, "by_fieldname": "b"}),
        f"{D0}.by_fieldname",
        "unknown field [by_fieldname]; did you mean 'by_field_name'?",
    ),
    # Custom rules.
    (rule_job({}), RULE0, "Invalid detector rule: at least scope or a condition is required"),
    (
        rule_job({"scope": {}, "conditions": []}),
        RULE0,
        "Invalid detector rule: at least scope or a condition is required",
    ),
    (
        rule_job({"scope": {"f": {"filter_id": "x"}}}, by_field_name="b", partition_field_name="p"),
        f"{RULE0}.scope.f",
        "Invalid detector rule: scope field 'f' is invalid; select from [b, p]",
    ),
    (
        rule_job({"scope": {"f": {"filter_id": "x"}}}),
        f"{RULE0}.scope.f",
        "Invalid detector rule: scope field 'f' is invalid; detector has no available fields for scoping",
    ),
    (rule_job({"scope": {"b": {}}}, by_field_name="b"), f"{RULE0}.scope.b.filter_id", "Required [filter_id]"),
    *(
        (
            job({**fields, "custom_rules": [{"conditions": [CONDITION]}]}),
            f"{RULE0}.conditions",
            f"Invalid detector rule: function {name} only supports conditions that apply to time",
        )
        for name, fields in (
            ("rare", {"function": "rare", "by_field_name": "b"}),
            ("freq_rare", {"function": "freq_rare", "by_field_name": "b", "over_field_name": "o"}),
            ("metric", {"field_name": "x"}),
            ("lat_long", {"function": "lat_long", "field_name": "x"}),
        )
    ),
    (
        rule_job({"actions": ["stop"], "conditions": [CONDITION]}),
        f"{RULE0}.actions[0]",
        "action 'stop' is not one of skip_result, skip_model_update, force_time_shift",
    ),
    (
        rule_job({"conditions": [{**CONDITION, "operator": "eq"}]}),
        f"{RULE0}.conditions[0].operator",
        "operator 'eq' is not one of gt, gte, lt, lte",
    ),
    (
        rule_job({"conditions": [{"applies_to": "actual", "operator": "gt"}]}),
        f"{RULE0}.conditions[0].value",
        "Required [value]",
    ),
    (
        rule_job({"conditions": [{**CONDITION, "value": float("inf")}]}),
        f"{RULE0}.conditions[0].value",
        "value must be a finite number",
    ),
    (
        job({**MEAN, "custom_rules": [{"conditions": [CONDITION]}], "detector_rules": []}),
        f"{D0}.detector_rules",
        "detector_rules is the old name of custom_rules; give only one",
    ),
]


@pytest.mark.parametrize(
    ("source", "path", "message"), WRONG, ids=[f"{i}-{row[1]}" for i, row in enumerate(WRONG)]
)
def test_every_mistake_has_its_message_at_its_path(source, path, message):
    """A mistake is reported at its path with the words of the contract; only a reason may follow."""
    found = problems_of(source).get(path, [])
    assert any(text == message or (message.endswith(": ") and text.startswith(message)) for text in found), (
        found
    )


def test_all_problems_come_at_once():
    """One error lists every problem, each on a line with its path."""
    source = job(
        {"function": "averge", "field_name": "x"},
        {"function": "count", "field_name": "y", "by_field_name": "by"},
        analysis={"bucket_span": "0s", "latency": "-1s", "typo": 1},
        data={"time_field": "y", "format": "csv"},
        job_id="No",
    )
    with pytest.raises(ConfigError) as caught:
        JobConfig.parse(source)
    paths = [path for path, _ in caught.value.problems]
    assert sorted(paths) == [
        f"{AC}.bucket_span",
        f"{D0}.function",
        f"{AC}.detectors[1].by_field_name",
        f"{AC}.detectors[1].field_name",
        f"{AC}.latency",
        f"{AC}.typo",
        "data_description.format",
        "data_description.time_field",
        "job_id",
    ]
    assert len(str(caught.value).splitlines()) == len(paths)
    assert f"{D0}.function: Unknown function 'averge'" in str(caught.value)


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=lambda function: function.name)
@pytest.mark.parametrize("role", ["field_name", "by_field_name", "over_field_name"])
def test_fields_follow_the_table_of_functions(function, role):
    """Every function takes exactly the fields that its entry requires or allows."""
    roles = ("field_name", "by_field_name", "over_field_name")
    fields = {name: name[:2] + "_f" for name in roles if getattr(function, name) != "refused"}
    JobConfig.parse(job({"function": function.name, **fields}))
    presence = getattr(function, role)
    if presence == "refused":
        found = problems_of(job({"function": function.name, **fields, role: "extra"}))
        assert found == {f"{D0}.{role}": [f"{role} cannot be used with function '{function.name}'"]}
        return
    source = job({"function": function.name, **{name: text for name, text in fields.items() if name != role}})
    if presence == "required":
        message = f"{role} must be set when the '{function.name}' function is used"
        assert problems_of(source) == {f"{D0}.{role}": [message]}
    else:
        assert getattr(JobConfig.parse(source).analysis_config.detectors[0], role) is None
