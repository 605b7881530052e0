package main

import (
	"strings"
	"time"

	"github.com/bmad-forge/forgectl/pkg/inventory"
	"github.com/bmad-forge/forgectl/pkg/postgres/insight"
)

// sizeChart draws one cell for each of the last days, as high as the last size of
// that day between the smallest and the largest one; "" with less than two days.
func sizeChart(history []insight.SizePoint, now time.Time) string {
	const levels = "▁▂▃▄▅▆▇█"
	var days [inventory.MonthDays]int64
	at := map[string]int{}
	for i := range inventory.MonthDays {
		at[inventory.LocalDay(now.AddDate(0, 0, i-inventory.MonthDays+1))] = i
	}
	known := 0
	for _, p := range history {
		if i, ok := at[inventory.LocalDay(p.At)]; ok {
			if days[i] == 0 {
				known++
			}
			days[i] = max(p.Bytes, 1)
		}
	}
	if known < 2 {
		return ""
	}
	least, most := int64(0), int64(0)
	for _, n := range days {
		if n > 0 && (least == 0 || n < least) {
			least = n
		}
		most = max(most, n)
	}
	var b strings.Builder
	cells := []rune(levels)
	for _, n := range days {
		switch {
		case n == 0:
			b.WriteByte('.')
		case most == least:
			b.WriteRune(cells[0])
		default:
			b.WriteRune(cells[int(float64(n-least)/float64(most-least)*float64(len(cells)-1))])
		}
	}
	return b.String()
}
