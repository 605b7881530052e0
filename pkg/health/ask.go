package health

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
)

// client is the injected one or ours, with our word on redirects where it has
// none.
func (o Options) client() *http.Client {
	c := http.Client{Transport: &http.Transport{
		Proxy:                  nil, // not even that of the environment: the question is for this host
		DisableKeepAlives:      true,
		DisableCompression:     true,
		MaxResponseHeaderBytes: 64 << 10,
	}}
	if o.Client != nil {
		c = *o.Client
	}
	if c.CheckRedirect == nil {
		c.CheckRedirect = follow
	}
	return &c
}

// follow allows what a framework does by itself with a correct address. The
// answer is else the redirect.
func follow(next *http.Request, via []*http.Request) error {
	from, to := via[len(via)-1].URL, next.URL
	same := strings.EqualFold(from.Hostname(), to.Hostname()) &&
		strings.TrimSuffix(from.Path, "/") == strings.TrimSuffix(to.Path, "/") &&
		(from.Scheme == to.Scheme || to.Scheme == "https")
	if !same || len(via) > 4 {
		return http.ErrUseLastResponse
	}
	return nil
}

// ask fills in the report.
func ask(ctx context.Context, client *http.Client, target *url.URL, r *Report) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		r.broken(ctx, err)
		return
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "forgectl")
	resp, err := client.Do(req)
	if err != nil {
		r.broken(ctx, err)
		return
	}
	defer func() { _ = resp.Body.Close() }()
	r.Code = resp.StatusCode
	body, err := io.ReadAll(io.LimitReader(resp.Body, BodyLimit+1))
	if r.Code != http.StatusOK {
		// Judged by its status alone: whether the body is whole does not matter.
		r.status(resp)
		r.Body = excerpt(body)
		return
	}
	if err != nil {
		r.broken(ctx, err)
		r.Reason = "the answer broke off: " + r.Reason
		return
	}
	r.judge(body)
}

// broken is for an answer that did not come.
func (r *Report) broken(ctx context.Context, err error) {
	var outer *url.Error
	if errors.As(err, &outer) {
		err = outer.Err // it names the address, with its query
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	r.Verdict, r.Reason, r.Err = Critical, err.Error(), err
	if strings.Contains(r.Reason, "readLoopPeekFailLocked") { // net/http's word for an answer before the question
		r.Reason = "it speaks before it is asked: not HTTP"
	}
	var certificate *tls.CertificateVerificationError
	var name *net.DNSError
	switch {
	case errors.As(err, &certificate):
		r.Hint = "this host does not trust the certificate; where the application also answers without TLS on this host, health.url may name that"
	case errors.Is(err, syscall.ECONNREFUSED):
		r.Hint = "nothing listens there: does the application run, and on that port?"
	case errors.As(err, &name):
		r.Hint = "see health.url"
	}
}

// status judges anything but 200.
func (r *Report) status(resp *http.Response) {
	r.Verdict, r.Reason = Critical, fmt.Sprintf("HTTP %d %s", r.Code, http.StatusText(r.Code))
	if to, err := resp.Location(); err == nil {
		r.Reason += ": sent on to " + shown(to)
		r.Hint = "health.url must be the address that answers by itself"
	}
	if r.Code == http.StatusBadRequest {
		r.Hint = "Django answers so when ALLOWED_HOSTS does not have the host of health.url"
	}
	r.Reason = strings.TrimSpace(r.Reason)
}
