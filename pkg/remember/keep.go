package remember

import "time"

// Keep bounds what is remembered of a subject. The zero value keeps as many
// entries as fit.
type Keep struct {
	Entries int   // 0: 500
	Bytes   int64 // 0: 8 MiB; the newest entry is always kept
	// Thin keeps, of what is older than a day, the first entry of each hour,
	// beyond two weeks that of each day, beyond four months that of each week.
	Thin bool
}

const (
	defaultEntries = 500
	defaultBytes   = 8 << 20
	day            = 24 * time.Hour
)

func (k Keep) apply(lines []raw, now time.Time) []raw {
	if k.Thin {
		lines = thin(lines, now)
	}
	most, room := k.Entries, k.Bytes
	if most <= 0 {
		most = defaultEntries
	}
	if room <= 0 {
		room = defaultBytes
	}
	from := len(lines)
	for from > 0 && len(lines)-from < most {
		room -= int64(len(lines[from-1].Data))
		if room < 0 && from < len(lines) {
			break
		}
		from--
	}
	return lines[from:]
}

// thin drops what is closer together than its age deserves. The newest stays.
func thin(lines []raw, now time.Time) []raw {
	var kept []raw
	for i, line := range lines {
		step := spacing(now.Sub(line.At))
		if last := len(kept) - 1; step > 0 && last >= 0 && i < len(lines)-1 &&
			line.At.Truncate(step).Equal(kept[last].At.Truncate(step)) {
			continue
		}
		kept = append(kept, line)
	}
	return kept
}

func spacing(age time.Duration) time.Duration {
	switch {
	case age > 120*day:
		return 7 * day
	case age > 14*day:
		return day
	case age > day:
		return time.Hour
	}
	return 0
}
