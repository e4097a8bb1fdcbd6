"""Fuzzes one parser, guided by coverage: `python -m tests.fuzz TARGET [SECONDS]`; a crash is left as a file and told.

What was found of interest is kept in build/fuzz/TARGET, so that the next run begins where this one ended.
"""

import sys
from pathlib import Path

SECONDS = 600
HANG_SECONDS = 10
RSS_MIB = 1024


def main() -> None:
    import atheris

    with atheris.instrument_imports(include=["gateway", "policy", "namespace", "regioncache"]):
        from tests.fuzz.parsers import TARGETS
        from tests.fuzz.seeds import SEEDS

    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        sys.exit(f"usage: python -m tests.fuzz {'|'.join(TARGETS)} [SECONDS]")
    target, seconds = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else SECONDS
    corpus = Path("build/fuzz") / target
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(SEEDS[target]):
        (corpus / f"seed-{number}").write_bytes(seed)
    options = [
        f"-max_total_time={seconds}",
        f"-timeout={HANG_SECONDS}",
        f"-rss_limit_mb={RSS_MIB}",
        "-max_len=16384",
        f"-artifact_prefix={corpus}/found-",
        "-print_final_stats=1",
    ]
    atheris.Setup([f"fuzz-{target}", *options, str(corpus)], TARGETS[target])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
