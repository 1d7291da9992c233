package openai

import (
	"github.com/penstock-ai/penstock/services/edge/gateway/internal/fault"

	routerv1 "github.com/penstock-ai/penstock/services/edge/gateway/gen/penstock/router/v1"
)

func (r reader) tool() (*routerv1.Tool, error) {
	tool := &routerv1.Tool{}
	return tool, r.functionObject(func(name string) (err error) {
		if name != "function" {
			return r.skip()
		}
		tool.Function, err = r.functionDefinition()
		return err
	})
}

// functionObject reads an object whose type must be function: what OpenAI lets be other things, here is not. The type may
// come last, so it is judged at the end.
func (r reader) functionObject(member func(name string) error) error {
	kind, path := "function", ""
	err := r.object(func(name string) (err error) {
		if name != "type" {
			return member(name)
		}
		kind, err = r.text()
		path = r.path()
		return err
	})
	if err == nil && kind != "function" {
		return fault.Unsupported(path, "%s must be function.", path)
	}
	return err
}

func (r reader) functionDefinition() (*routerv1.FunctionDefinition, error) {
	definition := &routerv1.FunctionDefinition{}
	return definition, r.object(func(name string) (err error) {
		switch name {
		case "name":
			definition.Name, err = r.text()
		case "description":
			definition.Description, err = r.text()
		case "parameters":
			definition.ParametersJson, err = r.rawObject()
		case "strict":
			definition.Strict, err = r.boolean()
		default:
			err = r.skip()
		}
		return err
	})
}

func (r reader) toolCall() (*routerv1.ToolCall, error) {
	call := &routerv1.ToolCall{}
	return call, r.functionObject(func(name string) (err error) {
		switch name {
		case "id":
			call.Id, err = r.text()
		case "function":
			call.Function = &routerv1.FunctionCall{}
			err = r.texts(map[string]*string{"name": &call.Function.Name, "arguments": &call.Function.Arguments})
		default:
			err = r.skip()
		}
		return err
	})
}

var toolChoiceModes = map[string]routerv1.ToolChoiceMode{
	"none":     routerv1.ToolChoiceMode_TOOL_CHOICE_MODE_NONE,
	"auto":     routerv1.ToolChoiceMode_TOOL_CHOICE_MODE_AUTO,
	"required": routerv1.ToolChoiceMode_TOOL_CHOICE_MODE_REQUIRED,
}

// toolChoice reads a mode or the one function that must be called.
func (r reader) toolChoice() (*routerv1.ToolChoice, error) {
	switch r.dec.PeekKind() {
	case '"':
		return r.toolChoiceMode()
	case '{':
		choice := &routerv1.ToolChoice_FunctionName{}
		return &routerv1.ToolChoice{Choice: choice}, r.functionObject(func(name string) error {
			if name != "function" {
				return r.skip()
			}
			return r.texts(map[string]*string{"name": &choice.FunctionName})
		})
	}
	return nil, r.unexpected("a string or an object")
}

func (r reader) toolChoiceMode() (*routerv1.ToolChoice, error) {
	text, err := r.text()
	if err != nil {
		return nil, err
	}
	mode, known := toolChoiceModes[text]
	if !known {
		return nil, fault.Invalid(r.path(), "%s must be none, auto, required or a function.", r.path())
	}
	return &routerv1.ToolChoice{Choice: &routerv1.ToolChoice_Mode{Mode: mode}}, nil
}
