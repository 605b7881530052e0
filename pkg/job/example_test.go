package job_test

import (
	"context"
	"fmt"
	"os"

	"github.com/bmad-forge/forgectl/pkg/job"
)

func Example() {
	dir, err := os.MkdirTemp("", "job")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = os.RemoveAll(dir) }()

	r := &job.Runner{StateDir: dir, Host: "web1", User: "bmad-forge"}
	rec, err := r.Do(context.Background(), job.Spec{Operation: "backup db", Target: "bmad_forge"},
		func(_ context.Context, run *job.Run) error {
			run.Warn("table audit.secrets could not be read")
			run.Fact("rows", 12345)
			return nil
		})
	fmt.Println(rec.Outcome, rec.Warnings, err)

	records, err := r.History(context.Background(), 10)
	fmt.Println(len(records), records[0].Operation, records[0].Facts["rows"], err)
	// Output:
	// warning [table audit.secrets could not be read] <nil>
	// 1 backup db 12345 <nil>
}
