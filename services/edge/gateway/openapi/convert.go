package main

import (
	"maps"
	"strings"
)

const (
	refV2 = "#/definitions/"
	refV3 = "#/components/schemas/"
)

// convert turns OpenAPI 2 into the paths and schemas of OpenAPI 3.
func convert(v2 object) object {
	paths := object{}
	for path, methods := range child(v2, "paths") {
		if strings.Contains(path, "{{") { // the same again for ids with slashes, which OpenAPI cannot say
			continue
		}
		for _, operation := range methods.(object) {
			convertOperation(operation.(object))
		}
		paths[path] = methods
	}
	v3 := object{"paths": paths, "schemas": child(v2, "definitions")}
	renameRefs(v3)
	return v3
}

func convertOperation(operation object) {
	var parameters []any
	for _, each := range list(operation["parameters"]) {
		if parameter := each.(object); parameter["in"] == "body" {
			operation["requestBody"] = object{"required": true, "content": jsonOf(parameter["schema"])}
		} else {
			parameters = append(parameters, convertParameter(parameter))
		}
	}
	delete(operation, "parameters")
	if parameters != nil {
		operation["parameters"] = parameters
	}
	responses := child(operation, "responses")
	for _, each := range responses {
		response := each.(object)
		response["content"] = jsonOf(response["schema"])
		delete(response, "schema")
	}
	responses["default"] = object{"$ref": "#/components/responses/Error"}
}

// convertParameter moves what is about the value into a schema.
func convertParameter(v2 object) object {
	v3, schema := object{}, object{}
	for name, value := range v2 {
		switch name {
		case "name", "in", "description", "required":
			v3[name] = value
		case "collectionFormat": // "multi", which is OpenAPI 3's default
		default:
			schema[name] = value
		}
	}
	v3["schema"] = schema
	return v3
}

func jsonOf(schema any) object { return object{"application/json": object{"schema": schema}} }

func list(value any) []any {
	found, _ := value.([]any)
	return found
}

// renameRefs points every $ref at where OpenAPI 3 has schemas.
func renameRefs(value any) {
	switch v := value.(type) {
	case object:
		if ref, ok := v["$ref"].(string); ok {
			v["$ref"] = strings.Replace(ref, refV2, refV3, 1)
		}
		for _, each := range v {
			renameRefs(each)
		}
	case []any:
		for _, each := range v {
			renameRefs(each)
		}
	}
}

// keepUsed copies the schemas that a value names, directly or through others.
func keepUsed(value any, schemas, used object) {
	switch v := value.(type) {
	case object:
		if ref, ok := v["$ref"].(string); ok {
			name := strings.TrimPrefix(ref, refV3)
			if schema, known := schemas[name]; known && used[name] == nil {
				used[name] = schema
				keepUsed(schema, schemas, used)
			}
		}
		for each := range maps.Values(v) {
			keepUsed(each, schemas, used)
		}
	case []any:
		for _, each := range v {
			keepUsed(each, schemas, used)
		}
	}
}
