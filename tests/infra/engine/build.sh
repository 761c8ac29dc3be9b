#!/usr/bin/env bash
# Build Pulumi's command and its Python language host from the Go module proxy into .pulumi-engine/bin (docs/decisions/0111).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
target=$(cd "$here/../../.." && pwd)/.pulumi-engine/bin
command -v go > /dev/null || { echo "Pulumi's engine is built with Go 1.26 or newer, and there is no go here: \`make engine\` brings it." >&2; exit 1; }
mkdir -p "$target"
(cd "$here/language_host" && go build -trimpath -ldflags "-s -w" -o "$target/pulumi-language-python" \
    github.com/pulumi/pulumi/sdk/v3/python/cmd/pulumi-language-python)
cd "$here/cli"
go mod download github.com/pulumi/pulumi/sdk/v3  # until then nothing knows its folder, and `go list` says none without a word
version=$(go list -m -f '{{.Version}}' github.com/pulumi/pulumi/sdk/v3)
source=$(go list -m -f '{{.Dir}}' github.com/pulumi/pulumi/sdk/v3)
install -m 755 "$source/python/cmd/pulumi-language-python-exec" "$source/python/dist/pulumi-resource-pulumi-python" "$target"
go build -trimpath -ldflags "-s -w -X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=$version" -o "$target/pulumi.new" \
    github.com/pulumi/pulumi/pkg/v3/cmd/pulumi
mv "$target/pulumi.new" "$target/pulumi"  # last: its being there says that all is
