// Package docs serves the API's description and a page to browse it. Nothing is fetched from elsewhere.
package docs

import (
	"embed"
	"io/fs"
	"net/http"
	"strings"

	"github.com/penstock-ai/penstock/services/edge/gateway/gen/openapi"
)

//go:embed page.html missing.html assets
var files embed.FS

// OpenAPI serves the description, OpenAPI 3.
func OpenAPI() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(openapi.Document) // the caller may be gone: nobody to tell
	})
}

// Pages serves /docs/: the page, or how to get it when the build had no npm, and its assets.
func Pages() http.Handler {
	page := "page.html"
	if _, err := fs.Stat(files, "assets/swagger-ui-bundle.js"); err != nil {
		page = "missing.html"
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := strings.TrimPrefix(r.URL.Path, "/docs/")
		if name == "" {
			name = page
		}
		w.Header().Set("Cache-Control", "no-cache")
		http.ServeFileFS(w, r, files, name)
	})
}
