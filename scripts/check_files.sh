#!/usr/bin/env bash
# Check what no Python tool looks at: dependencies, YAML, workflows, forms, citation. No network.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=$PWD/.venv/bin

# Every import is declared, and nothing is declared that is not used: [tool.deptry]. What only tests
# and tools import stands in a dependency group, where its use is not looked for.
"$bin/deptry" src
"$bin/deptry" tests benchmarks scripts docs --exclude '.*/_build/' --ignore DEP002,DEP004

"$bin/yamllint" --strict .github packaging .yamllint.yaml CITATION.cff

schema() {
    echo "$1:"
    "$bin/check-jsonschema" --builtin-schema "$@"
}
schema vendor.github-workflows .github/workflows/*.yml
schema custom.github-workflows-require-timeout .github/workflows/*.yml
schema vendor.dependabot .github/dependabot.yml
schema vendor.github-issue-config .github/ISSUE_TEMPLATE/config.yml
schema vendor.github-issue-forms .github/ISSUE_TEMPLATE/{bug,feature}.yml
schema vendor.citation-file-format CITATION.cff

"$bin/zizmor" --offline --no-progress --quiet .github
