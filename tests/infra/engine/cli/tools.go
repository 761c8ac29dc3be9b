//go:build tools

// Package tools pins what Pulumi's command is built from.
package tools

import _ "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
