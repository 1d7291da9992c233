// Package openapi is the description of the REST API, OpenAPI 3. Generated; do not edit.
package openapi

import _ "embed"

// Document is the description as JSON.
//
//go:embed openapi.json
var Document []byte
