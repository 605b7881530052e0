package health_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/bmad-forge/forgectl/pkg/health"
)

func Example() {
	answers := []string{
		`{"status": "starting", "checks": {"database": "ok", "cache": "refused"}}`,
		`{"status": "healthy", "app": "BMAD Forge", "version": "1.3.0", "checks": {"database": "ok", "cache": "ok"}}`,
	}
	asked := 0
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, answers[min(asked, 1)])
		asked++
	}))
	defer app.Close()

	report, err := health.Gate(context.Background(), health.GateOptions{
		Options:  health.Options{URL: app.URL},
		Interval: time.Millisecond,
		Progress: func(a health.Attempt) { fmt.Println(a.Number, a.Report.Verdict, a.Report) },
	})
	fmt.Println(report.Version, err)
	// Output:
	// 1 WARNING the status is starting, not healthy: cache refused
	// 2 OK healthy
	// 3 OK healthy
	// 1.3.0 <nil>
}
