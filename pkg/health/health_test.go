package health_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bmad-forge/forgectl/pkg/health"
)

const guide = `{"status": "healthy", "app": "BMAD Forge", "version": "1.3.0", "checks": {"database": "ok", "cache": "ok"}}`

func serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL + "/health/"
}

func says(code int, contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
	}
}

func check(t *testing.T, o health.Options) health.Report {
	t.Helper()
	r, err := health.Check(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Promise: the answer of the guide is well, and what it tells is in the report.
func TestGuide(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || r.UserAgent() != "forgectl" {
			t.Errorf("asked by %s of %s", r.Method, r.UserAgent())
		}
		says(200, "application/json", guide)(w, r)
	})
	got := check(t, health.Options{URL: url})
	if got.Took <= 0 {
		t.Errorf("it took %s", got.Took)
	}
	got.Took = 0
	want := health.Report{
		URL: url, Verdict: health.OK, Code: 200, Status: "healthy", App: "BMAD Forge", Version: "1.3.0",
		Checks: []health.Subcheck{{Name: "cache", Value: "ok", OK: true}, {Name: "database", Value: "ok", OK: true}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// Promise: status and body are judged as the guide does it, with the failed
// checks named.
func TestVerdicts(t *testing.T) {
	const json, html = "application/json", "text/html"
	tests := []struct {
		name    string
		code    int
		kind    string
		body    string
		verdict health.Verdict
		line    string // of the report
		failed  []string
	}{
		{"as JSON in text", 200, html, guide, health.OK, "healthy", nil},
		{"with a byte order mark", 200, json, "\ufeff" + guide, health.OK, "healthy", nil},
		{"HTTP 500", 500, json, guide, health.Critical, "HTTP 500 Internal Server Error", nil},
		{"HTTP 503, healthy or not", 503, html, "<h1>", health.Critical, "HTTP 503 Service Unavailable", nil},
		{"HTTP 204", 204, json, "", health.Critical, "HTTP 204 No Content", nil},
		{"HTTP 299", 299, json, guide, health.Critical, "HTTP 299", nil},
		{"unhealthy", 200, json, `{"status":"unhealthy","checks":{"database":"connection refused","cache":"ok","disk":false,"queue":null}}`,
			health.Warning, "the status is unhealthy, not healthy: database connection refused, disk false, queue null", []string{"database", "disk", "queue"}},
		{"another case", 200, json, `{"status":"Healthy"}`, health.Warning, "the status is Healthy, not healthy", nil},
		{"no status", 200, json, `{"checks":{"database":"ok"}}`, health.Warning, "the answer has no status", nil},
		{"null", 200, json, `{"status":null}`, health.Warning, "the status is null, not healthy", nil},
		{"a bare word is no string", 200, json, `{"status":true}`, health.Warning, "the status is true, not healthy", nil},
		{"healthy with a check that is not", 200, json, `{"status":"healthy","checks":{"cache":"slow"}}`,
			health.OK, "healthy, although not everything is ok: cache slow", []string{"cache"}},
		{"checks of other shapes", 200, json, `{"status":"healthy","checks":{"a":{"status":"up"},"b":true,"c":"PASS","d":{"status":"down"},"e":{"status":{"status":"ok"}}}}`,
			health.OK, `healthy, although not everything is ok: d {"status":"down"}, e {"status":{"status":"ok"}}`, []string{"d", "e"}},
		{"checks as a list", 200, json, `{"status":"healthy","checks":["a"]}`, health.OK, "healthy", nil},
		{"plain text", 200, "text/plain", "OK\n", health.OK, "HTTP 200, but the answer is no JSON object: only the status could be judged", nil},
		{"empty", 200, json, "", health.OK, "HTTP 200, but the answer is no JSON object: only the status could be judged", nil},
		{"a JSON string", 200, json, `"ok"`, health.OK, "HTTP 200, but the answer is no JSON object: only the status could be judged", nil},
		{"half an object", 200, json, `{"status":"healthy"`, health.Warning, "the answer cannot be read: unexpected end of JSON input", nil},
		{"two objects", 200, json, guide + guide, health.Warning, "the answer cannot be read: invalid character '{' after top-level value", nil},
		{"control characters", 200, json, `{"status":"bad\u001b[2J\nx"}`, health.Warning, "the status is bad[2J x, not healthy", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := check(t, health.Options{URL: serve(t, says(tt.code, tt.kind, tt.body))})
			if r.Verdict != tt.verdict || r.String() != tt.line || r.Code != tt.code {
				t.Errorf("got %s, %d: %s\nwant %s: %s", r.Verdict, r.Code, r, tt.verdict, tt.line)
			}
			if !slices.Equal(r.Failed(), tt.failed) {
				t.Errorf("failed: %q, want %q", r.Failed(), tt.failed)
			}
			if (r.Reason == "") != r.Healthy() {
				t.Errorf("%s with the reason %q", r.Verdict, r.Reason)
			}
		})
	}
}

// Promise: an answer without an end is neither read for ever nor kept.
func TestBodyIsBounded(t *testing.T) {
	for _, code := range []int{200, 500} {
		sent := make(chan int, 1)
		url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(code)
			n := 0
			for block := []byte(strings.Repeat("x", 1<<16)); ; {
				m, err := w.Write(block)
				if n += m; err != nil {
					sent <- n
					return
				}
			}
		})
		r := check(t, health.Options{URL: url})
		if r.Healthy() || len(r.Body) > 3000 {
			t.Errorf("got %s, %d bytes kept", r, len(r.Body))
		}
		if n := <-sent; n > 64<<20 { // what the kernel's buffers take comes on top
			t.Errorf("%d bytes were taken", n)
		}
	}
}

// raw is a server that does not speak HTTP by itself.
func raw(t *testing.T, talk func(c net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { defer func() { _ = c.Close() }(); talk(c) }()
		}
	}()
	return "http://" + l.Addr().String() + "/health/"
}

func request(c net.Conn) { _, _ = c.Read(make([]byte, 4096)) }

// Promise: whatever goes wrong on the way is critical, with a reason.
func TestNoAnswer(t *testing.T) {
	never := make(chan struct{})
	t.Cleanup(func() { close(never) })
	closed := raw(t, request)
	refused := func() string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		_ = l.Close()
		return "http://" + l.Addr().String()
	}()
	const short = 100 * time.Millisecond
	tests := []struct {
		name    string
		url     string
		timeout time.Duration
		reason  string // a part of it
		hint    bool
	}{
		{"nobody listens", refused, 0, "connection refused", true},
		{"closed without a word", closed, 0, "EOF", false},
		{"hangs before the answer", raw(t, func(c net.Conn) { request(c); <-never }), short, "no answer within 100ms", false},
		{"hangs in the header", raw(t, func(c net.Conn) { request(c); _, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nX-A: "); <-never }), short, "no answer within 100ms", false},
		{"hangs in the body", raw(t, func(c net.Conn) {
			request(c)
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"status\": \"healthy\"}")
			<-never
		}), short, "the answer broke off: no answer within 100ms", false},
		{"half a body", raw(t, func(c net.Conn) {
			request(c)
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"status\": \"healthy\"}")
		}), 0, "the answer broke off: unexpected EOF", false},
		{"not HTTP", raw(t, func(c net.Conn) { request(c); _, _ = io.WriteString(c, "SSH-2.0-OpenSSH_9.2\r\n") }), 0, "malformed HTTP", false},
		{"a flood of headers", raw(t, func(c net.Conn) {
			request(c)
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n")
			for range 100000 {
				if _, err := io.WriteString(c, "X-Flood: "+strings.Repeat("x", 1000)+"\r\n"); err != nil {
					return
				}
			}
		}), 0, "exceeded", false},
		{"no such host", "http://health.invalid/", 0, "health.invalid", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := check(t, health.Options{URL: tt.url, Timeout: tt.timeout})
			if r.Verdict != health.Critical || r.Err == nil || !strings.Contains(r.Reason, tt.reason) || (r.Hint != "") != tt.hint {
				t.Errorf("got %s: %s, hint %q", r.Verdict, r.Reason, r.Hint)
			}
		})
	}
	if r := check(t, health.Options{URL: refused}); !errors.Is(r.Err, syscall.ECONNREFUSED) {
		t.Errorf("the cause is lost: %v", r.Err)
	}
}

// Promise: a certificate that nobody signed is not trusted, unless the client
// that is handed in says so.
func TestTLS(t *testing.T) {
	s := httptest.NewUnstartedServer(says(200, "application/json", guide))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	r := check(t, health.Options{URL: s.URL})
	var certificate *tls.CertificateVerificationError
	if r.Verdict != health.Critical || !errors.As(r.Err, &certificate) || r.Hint == "" {
		t.Errorf("got %s: %v", r.Verdict, r.Err)
	}
	if r := check(t, health.Options{URL: s.URL, Client: s.Client()}); !r.Healthy() {
		t.Errorf("with its certificate: %s", r)
	}
	plain := "http" + strings.TrimPrefix(s.URL, "https")
	if r := check(t, health.Options{URL: plain}); r.Verdict != health.Critical || r.Hint == "" {
		t.Errorf("without TLS: %s", r)
	}
}

// Promise: only the redirects of the framework itself are followed. A login
// page, another host and a loop are not health.
func TestRedirects(t *testing.T) {
	elsewhere := 0
	other := serve(t, func(w http.ResponseWriter, r *http.Request) {
		elsewhere++
		says(200, "application/json", guide)(w, r)
	})
	other = strings.Replace(other, "127.0.0.1", "localhost", 1)
	secure := httptest.NewTLSServer(says(200, "application/json", guide))
	t.Cleanup(secure.Close)
	mux := http.NewServeMux()
	mux.HandleFunc("/health/", says(200, "application/json", guide))
	mux.HandleFunc("/login/", says(200, "text/html", "<form>"))
	for from, to := range map[string]string{
		"/health": "/health/", "/private": "/login/?next=secret", "/other": other, "/loop": "/loop/", "/loop/": "/loop",
		"/secure": secure.URL + "/secure",
	} {
		mux.HandleFunc(from, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, http.StatusFound) })
	}
	app := httptest.NewServer(mux)
	t.Cleanup(app.Close)
	tests := []struct {
		path string
		want health.Verdict
		part string
	}{
		{"/health", health.OK, "healthy"},
		{"/private", health.Critical, "HTTP 302 Found: sent on to " + app.URL + "/login/?…"},
		{"/other", health.Critical, "HTTP 302 Found: sent on to " + other},
		{"/loop", health.Critical, "HTTP 302"},
		{"/secure", health.OK, "healthy"},
	}
	for _, tt := range tests {
		client := secure.Client() // trusts that server
		client.CheckRedirect = nil
		r := check(t, health.Options{URL: app.URL + tt.path, Client: client})
		if r.Verdict != tt.want || !strings.Contains(r.String(), tt.part) {
			t.Errorf("%s: %s, %s", tt.path, r.Verdict, r)
		}
	}
	if elsewhere != 0 {
		t.Error("another host was asked")
	}
}

// Promise: the proxy of the environment is not used.
func TestNoProxy(t *testing.T) {
	proxied := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("the proxy was asked") })
	t.Setenv("HTTP_PROXY", proxied)
	t.Setenv("http_proxy", proxied)
	// Loopback is never proxied, so it has to be another name; that there is no
	// such host is then the answer.
	if r := check(t, health.Options{URL: "http://health.invalid/"}); !strings.Contains(r.Reason, "health.invalid") {
		t.Errorf("got %s", r)
	}
}

// Promise: what cannot be asked is an error of its own, and no secret of the
// address is in what is said.
func TestAddresses(t *testing.T) {
	for url, want := range map[string]error{
		"":                              health.ErrNoURL,
		"localhost:8000/health/":        health.ErrURL,
		"ftp://localhost/":              health.ErrURL,
		"http://":                       health.ErrURL,
		"http://u:sesame@localhost:x/":  health.ErrURL,
		"unix:///run/app.sock?t=sesame": health.ErrURL,
	} {
		_, err := health.Check(t.Context(), health.Options{URL: url})
		if !errors.Is(err, want) || strings.Contains(err.Error(), "sesame") {
			t.Errorf("%q: got %v", url, err)
		}
		if _, err := health.Gate(t.Context(), health.GateOptions{Options: health.Options{URL: url}}); !errors.Is(err, want) {
			t.Errorf("Gate %q: got %v", url, err)
		}
	}
	var user, token string
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, user, _ = r.BasicAuth()
		token = r.URL.Query().Get("token")
		http.Redirect(w, r, "/elsewhere?token=sesame", http.StatusFound)
	})
	host := strings.TrimPrefix(url, "http://")
	r := check(t, health.Options{URL: "http://me:sesame@" + host + "?token=sesame#x"})
	if user != "sesame" || token != "sesame" {
		t.Error("they were not sent")
	}
	closed := check(t, health.Options{URL: "http://me:sesame@" + strings.TrimPrefix(raw(t, request), "http://") + "?token=sesame"})
	for _, r := range []health.Report{r, closed} {
		if text := fmt.Sprintf("%+v", r); strings.Contains(text, "sesame") {
			t.Errorf("got %s", text)
		}
	}
}

// Promise: the end of the context is an error, not a verdict on the
// application.
func TestContextEnds(t *testing.T) {
	why := errors.New("the operator said stop")
	ctx, cancel := context.WithCancelCause(t.Context())
	url := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		cancel(why)
		<-r.Context().Done()
	})
	if r, err := health.Check(ctx, health.Options{URL: url}); !errors.Is(err, why) {
		t.Errorf("got %v, %v", r, err)
	}
	if r, err := health.Check(ctx, health.Options{URL: url}); !errors.Is(err, why) {
		t.Errorf("once more: got %v, %v", r, err)
	}
}
