package main

import (
	"strings"
)

// errorList is what a run over several things ends with: each error is reported
// by itself and the worst code counts.
type errorList []error

func (l errorList) Error() string {
	texts := make([]string, len(l))
	for i, err := range l {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "\n")
}

func (l errorList) Unwrap() []error { return l }

// all drops what is nil; nil when nothing is left.
func all(errs ...error) error {
	var list errorList
	for _, err := range errs {
		if err != nil {
			list = append(list, err)
		}
	}
	switch len(list) {
	case 0:
		return nil
	case 1:
		return list[0]
	}
	return list
}

// parts takes a list apart; any other error is its own only part.
func parts(err error) []error {
	if list, ok := err.(errorList); ok { //nolint:errorlint // a list inside something else is that something's cause
		var flat []error
		for _, e := range list {
			flat = append(flat, parts(e)...)
		}
		return flat
	}
	return []error{err}
}
