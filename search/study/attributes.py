"""The keys of all user attributes of studies and trials, in one place so that none is used twice.

Values are JSON values. Keys of earlier versions are in `legacy_names`.
"""

# User attributes of a study.
IDENTITY = "paredown"
VERSIONS = "versions"
CONFIG = "config"
SPLITS = "images"
BASELINE = "baseline"
BUDGETS = "budgets"
TIMINGS = "timings"
HARDWARE = "hardware"
RETRAININGS = "finalists"
MAX_FAILURES = "finalists_per_budget"
TEST_SCORES = "test_scores"
ABLATIONS = "ablation"
EXPORTS = "exports"
NOTE_DIGEST = "note_digest"

# User attributes of a trial.
PLAN = "plan"
STATUS = "status"
REASON = "reason"
DETAILS = "details"
WORKER = "worker"
ACCURACY = "accuracy_percent"
DROP = "drop_pp"
SECONDS = "seconds"
PRUNED_SHARE = "pruned_share"
CHECKPOINTS = "checkpoints"
DROP_LOWER_BOUND = "drop_lower_bound_pp"
FREE = "free"
