package openai

import (
	"github.com/penstock-ai/penstock/services/edge/gateway/internal/fault"

	routerv1 "github.com/penstock-ai/penstock/services/edge/gateway/gen/penstock/router/v1"
)

type formReader func(reader) (*routerv1.ResponseFormat, error)

// forms reads the members that say what form answers must have: OpenAI's, vLLM's, and those that vLLM had before it.
var forms = map[string]formReader{
	"response_format":    reader.responseFormat,
	"structured_outputs": reader.structuredOutputs,
	"guided_json":        reader.jsonForm,
	"guided_regex":       reader.regexForm,
	"guided_choice":      reader.choiceForm,
	"guided_grammar":     reader.grammarForm,
}

// structures reads the members of structured_outputs.
var structures = map[string]formReader{
	"json":        reader.jsonForm,
	"json_object": reader.jsonObjectForm,
	"regex":       reader.regexForm,
	"choice":      reader.choiceForm,
	"grammar":     reader.grammarForm,
}

// form reads the value of a member that says the form of answers, which has been said by none before it, into form. It tells
// whether the name is that of such a member.
func (r reader) form(name string, form **routerv1.ResponseFormat) (isForm bool, err error) {
	read, isForm := forms[name]
	switch {
	case !isForm:
	case *form != nil:
		err = fault.Invalid(name, "%s cannot be given beside another member that says the form of answers.", name)
	default:
		*form, err = read(r)
	}
	return isForm, err
}

// responseFormat reads an object whose type says which form the answer must have.
func (r reader) responseFormat() (*routerv1.ResponseFormat, error) {
	kind := ""
	schema := &routerv1.JsonSchemaFormat{}
	given := map[string]*routerv1.ResponseFormat{
		"text":        {Format: &routerv1.ResponseFormat_Text{Text: &routerv1.TextFormat{}}},
		"json_object": {Format: &routerv1.ResponseFormat_JsonObject{JsonObject: &routerv1.JsonObjectFormat{}}},
		"json_schema": {Format: &routerv1.ResponseFormat_JsonSchema{JsonSchema: schema}},
	}
	err := r.object(func(name string) (err error) {
		switch name {
		case "type":
			kind, err = r.text()
		case "json_schema":
			err = r.jsonSchema(schema)
		case "regex", "choice", "grammar":
			given[name], err = structures[name](r)
		default:
			err = r.unrecognized()
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if form, known := given[kind]; known {
		return form, nil
	}
	return nil, fault.Invalid(r.path()+".type",
		"%s.type must be text, json_object or json_schema; or regex, choice or grammar, with a member of that name.", r.path())
}

func (r reader) jsonSchema(format *routerv1.JsonSchemaFormat) error {
	return r.object(func(name string) (err error) {
		switch name {
		case "name":
			format.Name, err = r.text()
		case "description":
			format.Description, err = r.text()
		case "schema":
			format.SchemaJson, err = r.rawObject()
		case "strict":
			format.Strict, err = r.boolean()
		default:
			err = r.unrecognized()
		}
		return err
	})
}

// structuredOutputs reads an object with one member, which is the form.
func (r reader) structuredOutputs() (form *routerv1.ResponseFormat, err error) {
	err = r.object(func(name string) (err error) {
		read, known := structures[name]
		switch {
		case !known:
			return r.unrecognized()
		case form != nil:
			return fault.Invalid(r.path(), "%s is a second form beside the first.", r.path())
		}
		form, err = read(r)
		return err
	})
	if err == nil && form == nil {
		err = fault.Invalid(r.path(), "%s must have json, json_object, regex, choice or grammar.", r.path())
	}
	return form, err
}

// jsonForm reads a JSON Schema, as an object or as its text.
func (r reader) jsonForm() (*routerv1.ResponseFormat, error) {
	read := r.rawObject
	if r.dec.PeekKind() == '"' {
		read = r.text
	}
	text, err := read()
	schema := &routerv1.JsonSchemaFormat{Name: "answer", SchemaJson: text, Strict: true}
	return &routerv1.ResponseFormat{Format: &routerv1.ResponseFormat_JsonSchema{JsonSchema: schema}}, err
}

// jsonObjectForm reads true; false says nothing that could be meant.
func (r reader) jsonObjectForm() (*routerv1.ResponseFormat, error) {
	wanted, err := r.boolean()
	if err == nil && !wanted {
		err = fault.Invalid(r.path(), "%s must be true, or absent.", r.path())
	}
	return &routerv1.ResponseFormat{Format: &routerv1.ResponseFormat_JsonObject{JsonObject: &routerv1.JsonObjectFormat{}}}, err
}

func (r reader) regexForm() (*routerv1.ResponseFormat, error) {
	regex, err := r.text()
	return &routerv1.ResponseFormat{Format: &routerv1.ResponseFormat_Regex{Regex: regex}}, err
}

func (r reader) grammarForm() (*routerv1.ResponseFormat, error) {
	grammar, err := r.text()
	return &routerv1.ResponseFormat{Format: &routerv1.ResponseFormat_Grammar{Grammar: grammar}}, err
}

func (r reader) choiceForm() (*routerv1.ResponseFormat, error) {
	texts, err := list(r, r.text)
	choice := &routerv1.ChoiceFormat{Choices: texts}
	return &routerv1.ResponseFormat{Format: &routerv1.ResponseFormat_Choice{Choice: choice}}, err
}
