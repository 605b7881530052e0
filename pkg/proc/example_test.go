package proc_test

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/bmad-forge/forgectl/pkg/proc"
)

func Example() {
	runner := proc.System{} // os.Environ() as Environ in a real program
	out, err := proc.Output(context.Background(), runner, proc.Cmd{
		Path: "tr", Args: []string{"a-z", "A-Z"},
		Stdin: strings.NewReader("forge\n"),
	})
	fmt.Print(string(out), err, "\n")

	err = runner.Run(context.Background(), proc.Cmd{
		Path: "sh", Args: []string{"-c", `echo "sh: error: cannot log in with sesame" >&2; exit 2`},
		Secrets: []string{"sesame"},
	})
	var failed *proc.Error
	fmt.Println(errors.As(err, &failed), failed.ExitCode)
	fmt.Println(err)
	// Output:
	// FORGE
	// <nil>
	// true 2
	// sh: exit status 2: error: cannot log in with ***
}
