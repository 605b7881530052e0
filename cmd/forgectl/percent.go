package main

import (
	"errors"
	"strconv"
	"strings"
)

// percent is a flag: a share of something, above 0 and below 100.
type percent float64

func (p *percent) String() string {
	if *p == 0 {
		return ""
	}
	return strconv.FormatFloat(float64(*p), 'g', -1, 64) + "%"
}

func (p *percent) Type() string { return "percent" }

func (p *percent) Set(text string) error {
	n, err := strconv.ParseFloat(strings.TrimSuffix(text, "%"), 64)
	if err != nil || !(n > 0 && n < 100) {
		return errors.New("want a share above 0 and below 100, such as 5%")
	}
	*p = percent(n)
	return nil
}
