// openapi makes the description of the REST API: what protoc-gen-openapiv2 wrote, as OpenAPI 3, and the hand-written
// description of the paths whose JSON is OpenAI's.
//
//	openapi GENERATED.swagger.json HAND_WRITTEN.yaml OUTPUT.json
package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"

	"go.yaml.in/yaml/v3"
)

// object is a JSON object.
type object = map[string]any

func main() {
	if err := run(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, "openapi:", err)
		os.Exit(1)
	}
}

func run(generatedPath, writtenPath, outputPath string) error {
	var generated, written object
	if err := read(generatedPath, json.Unmarshal, &generated); err != nil {
		return err
	}
	if err := read(writtenPath, yaml.Unmarshal, &written); err != nil {
		return err
	}
	document := merge(written, convert(generated))
	text, err := json.MarshalIndent(document, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(outputPath, append(text, '\n'), 0o644)
}

func read(path string, unmarshal func([]byte, any) error, into *object) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := unmarshal(text, into); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// merge adds to what is written what is generated; what is written wins. Schemas that nothing names are left out.
func merge(written, generated object) object {
	document := maps.Clone(written)
	document["paths"] = both(child(generated, "paths"), child(written, "paths"))
	components := maps.Clone(child(written, "components"))
	document["components"] = components
	schemas := both(child(generated, "schemas"), child(components, "schemas"))
	used := object{}
	keepUsed(document["paths"], schemas, used)
	keepUsed(components["responses"], schemas, used)
	components["schemas"] = used
	return document
}

func both(under, over object) object {
	all := maps.Clone(under)
	maps.Copy(all, over)
	return all
}

func child(parent object, name string) object {
	found, _ := parent[name].(object)
	return found
}
