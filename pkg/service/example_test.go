package service_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/bmad-forge/forgectl/pkg/proc"
	"github.com/bmad-forge/forgectl/pkg/service"
)

func Example() {
	ctx := context.Background()
	m, err := service.New(service.Options{
		Manager: service.Command,
		Runner:  proc.System{}, // with os.Environ() as Environ in a real program
		Start:   []string{"true"},
		Stop:    []string{"echo worker is busy >&2; exit 1"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	running, err := service.Running(ctx, m, nil)
	fmt.Println(running, err)

	stopped, err := service.StopAll(ctx, m, running, service.Wait{})
	var failed *service.StopError
	fmt.Println(stopped, errors.As(err, &failed))
	fmt.Println(err)

	// What ran before comes back, also when ctx is what ended the stop.
	err = service.StartAll(context.WithoutCancel(ctx), m, running, service.Wait{})
	fmt.Println(err)
	// Output:
	// [application] <nil>
	// [] true
	// stop application (unknown): command "echo worker is busy >&2; exit 1": stop command: exit status 1: worker is busy
	// <nil>
}
