"""What to try by hand while `causeway demo --keep` runs."""

from pathlib import Path

from gateway.demo.documents import MOUNT
from gateway.demo.stage import Stage


def by_hand(stage: Stage, directory: Path) -> str:
    """Returns lines to copy into another terminal."""
    ns = MOUNT.removeprefix("/ns/")
    return f"""\
Still running. In another terminal, as aws-use1's operator:

  export CAUSEWAY_ADMIN={stage.away.admin} CAUSEWAY_TOKEN=$(cat {stage.away.token_file})
  causeway ls {MOUNT}/table
  causeway explain {MOUNT}/table/day=2026-01-01/part-0.parquet
  causeway lines --ledger
  causeway apply {directory}/topology.yaml {directory}/policy.yaml --dry-run

as a reader there:

  export AWS_ACCESS_KEY_ID={stage.key.id} AWS_SECRET_ACCESS_KEY={stage.key.secret}
  aws --endpoint-url {stage.away.s3} --region us-east-1 s3 ls --recursive s3://ns/{ns}/table/
  aws --endpoint-url {stage.away.s3} --region us-east-1 s3 cp s3://{ns}/table/day=2026-01-01/part-0.parquet .

Ctrl-C ends everything and removes {directory}."""
