package ui_test

import (
	"fmt"
	"os"
	"time"

	"github.com/bmad-forge/forgectl/pkg/ui"
)

func Example() {
	// A pipe: the zero value of the terminal flags.
	s := &ui.Streams{Out: os.Stdout, Err: os.Stderr}
	sets := s.Table(ui.Column{Title: "ID"}, ui.Column{Title: "SIZE", Right: true}, ui.Column{Title: "STATE"})
	sets.Row("20261123T020000Z", ui.Bytes(203<<20), s.Good("good"))
	if err := sets.Flush(); err != nil {
		fmt.Println(err)
	}
	fmt.Println(ui.Duration(92*time.Second), ui.Age(26*time.Hour))
	// Output:
	// 20261123T020000Z	203 MiB	good
	// 1m32s 26h
}
