package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/bmad-forge/forgectl/pkg/doctor"
	"github.com/bmad-forge/forgectl/pkg/ui"
)

// examinedHost is the JSON of forgectl doctor.
type examinedHost struct {
	Worst    doctor.Level   `json:"worst"`
	Findings []shownFinding `json:"findings"`
}

type shownFinding struct {
	Check   string       `json:"check"`
	State   doctor.Level `json:"state"`
	Message string       `json:"message"`
	Remedy  []string     `json:"remedy"`
	Fixable bool         `json:"fixable"`
}

func (a *App) examined(findings []doctor.Finding) result {
	shown := examinedHost{Worst: doctor.Worst(findings), Findings: []shownFinding{}}
	for _, f := range findings {
		s := shownFinding{Check: f.Check, State: f.Level, Message: a.scrub(f.Message), Remedy: []string{}, Fixable: f.Fix != nil}
		for _, line := range f.Remedy {
			s.Remedy = append(s.Remedy, a.scrub(line))
		}
		shown.Findings = append(shown.Findings, s)
	}
	return result{JSON: shown, Text: shown.text}
}

// text is a table. On a terminal the remedies stand below it, each under the
// number of its finding: a command that is wrapped in a column cannot be pasted.
func (e examinedHost) text(s *ui.Streams) error {
	if !s.OutTTY {
		t := s.Table(ui.Column{Title: "STATE"}, ui.Column{Title: "CHECK"}, ui.Column{Title: "FINDING"}, ui.Column{Title: "REMEDY"})
		for _, f := range e.Findings {
			t.Row(string(f.State), f.Check, f.Message, strings.Join(f.Remedy, "\n"))
		}
		return t.Flush()
	}
	t := s.Table(ui.Column{Title: "STATE"}, ui.Column{Title: "CHECK"}, ui.Column{Title: "REMEDY", Right: true}, ui.Column{Title: "FINDING"})
	var remedies strings.Builder
	number := 0
	for _, f := range e.Findings {
		mark := ""
		if len(f.Remedy) > 0 {
			number++
			mark = strconv.Itoa(number)
			fmt.Fprintf(&remedies, "\n%s %s\n", s.Bold(mark), s.Faint(f.Check))
			for _, line := range f.Remedy {
				fmt.Fprintf(&remedies, "%s\n", ui.Printable(line))
			}
		}
		message := f.Message
		if f.State == doctor.OK {
			message = s.Faint(message)
		}
		t.Row(paintLevel(s, f.State), f.Check, mark, message)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprint(s.Out, remedies.String())
	return err
}

func paintLevel(s *ui.Streams, l doctor.Level) string {
	switch l {
	case doctor.OK:
		return s.Good(string(l))
	case doctor.Info:
		return string(l)
	case doctor.Warning:
		return s.Warn(string(l))
	}
	return s.Bad(string(l))
}
