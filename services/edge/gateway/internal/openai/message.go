package openai

import (
	"github.com/penstock-ai/penstock/services/edge/gateway/internal/fault"

	routerv1 "github.com/penstock-ai/penstock/services/edge/gateway/gen/penstock/router/v1"
)

var chatRoles = map[string]routerv1.ChatRole{
	"system":    routerv1.ChatRole_CHAT_ROLE_SYSTEM,
	"developer": routerv1.ChatRole_CHAT_ROLE_DEVELOPER,
	"user":      routerv1.ChatRole_CHAT_ROLE_USER,
	"assistant": routerv1.ChatRole_CHAT_ROLE_ASSISTANT,
	"tool":      routerv1.ChatRole_CHAT_ROLE_TOOL,
}

func (r reader) message() (*routerv1.ChatMessage, error) {
	message := &routerv1.ChatMessage{}
	return message, r.object(func(name string) (err error) {
		switch name {
		case "role":
			message.Role, err = r.role()
		case "content":
			err = r.content(message)
		case "name":
			message.Name, err = r.text()
		case "tool_calls":
			message.ToolCalls, err = list(r, r.toolCall)
		case "tool_call_id":
			message.ToolCallId, err = r.text()
		case "refusal":
			message.Refusal, err = optional(r.text)
		case "function_call":
			if err = r.skip(); err == nil {
				err = fault.Unsupported(r.path(), "function_call is deprecated and not served; use tool_calls.")
			}
		case "audio":
			if err = r.skip(); err == nil {
				err = fault.Unsupported(r.path(), "Earlier audio answers are not served.")
			}
		default:
			err = r.skip()
		}
		return err
	})
}

func (r reader) role() (routerv1.ChatRole, error) {
	text, err := r.text()
	if err != nil {
		return 0, err
	}
	role, known := chatRoles[text]
	switch {
	case known:
		return role, nil
	case text == "function":
		return 0, fault.Unsupported(r.path(), "The role function is deprecated and not served; use tool.")
	}
	return 0, fault.Invalid(r.path(), "%s must be system, developer, user, assistant or tool.", r.path())
}

// content reads a string or an array of parts.
func (r reader) content(message *routerv1.ChatMessage) error {
	switch r.dec.PeekKind() {
	case '"':
		text, err := r.text()
		message.Content = &routerv1.ChatMessage_Text{Text: text}
		return err
	case '[':
		parts, err := list(r, r.contentPart)
		message.Content = &routerv1.ChatMessage_Parts{Parts: &routerv1.ContentParts{Parts: parts}}
		return err
	}
	return r.unexpected("a string or an array of parts")
}

// contentPart reads an object whose type says which of its members holds the part.
func (r reader) contentPart() (*routerv1.ContentPart, error) {
	kind, held := "", ""
	part := &routerv1.ContentPart{}
	err := r.object(func(name string) (err error) {
		switch name {
		case "type":
			kind, err = r.text()
			return err
		case "text", "image_url", "input_audio", "file", "refusal":
			held = name
			return r.partMember(part, name)
		}
		return r.skip()
	})
	switch {
	case err != nil:
		return nil, err
	case kind == "":
		return nil, fault.Malformed(r.path()+".type", "%s.type is missing.", r.path())
	case !partTypes[kind]:
		return nil, fault.Unsupported(r.path()+".type", "%s.type must be text, image_url, input_audio, file or refusal.", r.path())
	case kind != held:
		return nil, fault.Malformed(r.path()+"."+kind, "%s is of type %s, so it must have the member %s.", r.path(), kind, kind)
	}
	return part, nil
}

var partTypes = map[string]bool{"text": true, "image_url": true, "input_audio": true, "file": true, "refusal": true}

func (r reader) partMember(part *routerv1.ContentPart, name string) (err error) {
	switch name {
	case "text":
		var text string
		text, err = r.text()
		part.Part = &routerv1.ContentPart_Text{Text: text}
	case "image_url":
		var image *routerv1.ImageUrl
		image, err = r.imageURL()
		part.Part = &routerv1.ContentPart_ImageUrl{ImageUrl: image}
	case "input_audio":
		var audio *routerv1.InputAudio
		audio, err = r.inputAudio()
		part.Part = &routerv1.ContentPart_InputAudio{InputAudio: audio}
	case "file":
		var file *routerv1.InputFile
		file, err = r.inputFile()
		part.Part = &routerv1.ContentPart_File{File: file}
	case "refusal":
		var refusal string
		refusal, err = r.text()
		part.Part = &routerv1.ContentPart_Refusal{Refusal: refusal}
	}
	return err
}

func (r reader) imageURL() (*routerv1.ImageUrl, error) {
	image := &routerv1.ImageUrl{}
	return image, r.texts(map[string]*string{"url": &image.Url, "detail": &image.Detail})
}

func (r reader) inputAudio() (*routerv1.InputAudio, error) {
	audio := &routerv1.InputAudio{}
	return audio, r.texts(map[string]*string{"data": &audio.Data, "format": &audio.Format})
}

func (r reader) inputFile() (*routerv1.InputFile, error) {
	file := &routerv1.InputFile{}
	return file, r.texts(map[string]*string{
		"file_data": &file.FileData, "file_id": &file.FileId, "filename": &file.Filename,
	})
}

// texts reads an object of which only some strings matter.
func (r reader) texts(members map[string]*string) error {
	return r.object(func(name string) (err error) {
		if into, known := members[name]; known {
			*into, err = r.text()
			return err
		}
		return r.skip()
	})
}
