# shellcheck shell=bash
# Environment of this recipe; tools/path.sh says what it sets. ASIT_ROOT: where asit is, for a recipe kept elsewhere.
. "${ASIT_ROOT:-$(dirname "${BASH_SOURCE[0]}")/../..}/tools/path.sh"
