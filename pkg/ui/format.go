package ui

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Bytes writes a size with three significant digits and a binary unit: "0 B",
// "1023 B", "1.00 KiB", "12.3 MiB", "1.50 TiB".
func Bytes(n int64) string {
	sign := ""
	f := float64(n)
	if n < 0 {
		sign, f = "-", -f
	}
	if f < 1024 {
		return fmt.Sprintf("%s%d B", sign, int64(f))
	}
	unit := -1
	// 1023.5 and more would be shown as 1024: that is the next unit's 1.00.
	for f >= 1023.5 && unit < len(units)-1 {
		f /= 1024
		unit++
	}
	digits := 2
	switch {
	case f >= 99.95:
		digits = 0
	case f >= 9.995:
		digits = 1
	}
	return sign + strconv.FormatFloat(f, 'f', digits, 64) + " " + units[unit:unit+1] + "iB"
}

const units = "KMGTPE"

// Duration writes how long something took, with the precision that matters at
// its size: "0s", "35ms", "4.2s", "1m32s", "2h05m", "3d04h".
func Duration(d time.Duration) string {
	sign := ""
	if d < 0 {
		sign, d = "-", -d
	}
	switch {
	case d == 0:
		return "0s"
	case d < time.Second:
		// Rounding up keeps a short moment from looking like none.
		ms := (d + time.Millisecond - 1) / time.Millisecond
		if ms == 1000 {
			return sign + "1.0s"
		}
		return fmt.Sprintf("%s%dms", sign, ms)
	case d < 10*time.Second-50*time.Millisecond:
		return fmt.Sprintf("%s%.1fs", sign, d.Seconds())
	}
	d = d.Round(time.Second)
	days, hours := int(d/(24*time.Hour)), int(d/time.Hour)%24
	minutes, seconds := int(d/time.Minute)%60, int(d/time.Second)%60
	switch {
	case days > 0:
		return fmt.Sprintf("%s%dd%02dh", sign, days, hours)
	case hours > 0:
		return fmt.Sprintf("%s%dh%02dm", sign, hours, minutes)
	case minutes > 0:
		return fmt.Sprintf("%s%dm%02ds", sign, minutes, seconds)
	}
	return fmt.Sprintf("%s%ds", sign, seconds)
}

// Age writes how long ago something was, by one or two units: "now", "45s",
// "12m", "5h", "26h" (up to two days, because "more than a day" is the question
// people have about backups), "3d", "9w".
func Age(d time.Duration) string {
	switch {
	case d < 0:
		return "in " + Age(-d)
	case d < time.Second:
		return "now"
	case d < time.Minute:
		return strconv.Itoa(int(d/time.Second)) + "s"
	case d < time.Hour:
		return strconv.Itoa(int(d/time.Minute)) + "m"
	case d < 48*time.Hour:
		return strconv.Itoa(int(d/time.Hour)) + "h"
	case d < 8*7*24*time.Hour:
		return strconv.Itoa(int(d/(24*time.Hour))) + "d"
	}
	return strconv.Itoa(int(d/(7*24*time.Hour))) + "w"
}

// Count writes a whole number in groups of three: "1 234 567".
func Count(n int64) string {
	digits := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, digits = "-", digits[1:]
	}
	var groups []string
	for len(digits) > 3 {
		groups = append([]string{digits[len(digits)-3:]}, groups...)
		digits = digits[:len(digits)-3]
	}
	return sign + strings.Join(append([]string{digits}, groups...), " ")
}
