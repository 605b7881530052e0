package doctor

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/bmad-forge/forgectl/pkg/health"
)

// Promise: what would take a restore back is found before it: an application that is not well, does not answer, or is
// not asked.
func TestHealth(t *testing.T) {
	answers := map[string]func(w http.ResponseWriter){
		"/well":    func(w http.ResponseWriter) { _, _ = w.Write([]byte(`{"status": "healthy"}`)) },
		"/ill":     func(w http.ResponseWriter) { _, _ = w.Write([]byte(`{"status": "degraded"}`)) },
		"/refuses": func(w http.ResponseWriter) { w.WriteHeader(http.StatusServiceUnavailable) },
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { answers[r.URL.Path](w) }))
	defer server.Close()
	for _, tt := range []struct {
		url   string
		level Level
		says  string
	}{
		{server.URL + "/well", OK, "the application is well: healthy"},
		{server.URL + "/ill", Warning, "degraded"},
		{server.URL + "/refuses", Critical, "a restore into service would be taken back"},
		{"http://127.0.0.1:1/", Critical, "a restore into service would be taken back"},
		{"ftp://nowhere", Critical, "not an address of HTTP"},
		{"", Info, "health.url is empty"},
	} {
		x := &exam{Options: Options{Health: func(ctx context.Context) (health.Report, error) {
			return health.Check(ctx, health.Options{URL: tt.url})
		}}.withDefaults()}
		findings := checkHealth(t.Context(), x)
		if len(findings) != 1 || findings[0].Level != tt.level || !strings.Contains(findings[0].Message, tt.says) {
			t.Errorf("%q: %+v, want %s and %q", tt.url, findings, tt.level, tt.says)
		}
		if len(findings) == 1 && tt.level != OK && len(findings[0].Remedy) == 0 {
			t.Errorf("%q: no remedy", tt.url)
		}
	}
	x := &exam{Options: Options{}.withDefaults()}
	if f := checkHealth(t.Context(), x); len(f) != 1 || f[0].Level != Unknown {
		t.Errorf("nobody said what to ask: %+v", f)
	}
}
