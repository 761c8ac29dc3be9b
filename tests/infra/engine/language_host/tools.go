//go:build tools

// Package tools pins what the Python language host is built from.
package tools

import _ "github.com/pulumi/pulumi/sdk/v3/python/cmd/pulumi-language-python"
