package maintain

import (
	"slices"
	"time"
)

// Record is what one table took in one run, to be kept by the caller and handed
// to later runs.
type Record struct {
	Table   string    `json:"table"`
	Action  Action    `json:"action"`
	Bytes   int64     `json:"bytes"` // before
	Gained  int64     `json:"gained"`
	Seconds float64   `json:"seconds"`
	At      time.Time `json:"at"`
}

// Estimate is how long something will probably take.
type Estimate struct {
	Time        time.Duration // 0: unknown
	FromRecords bool          // else from the size alone, which is little more than a guess
}

// guessedRate is what is assumed of a disk of which nothing is known, in bytes a
// second: slow rather than fast, because it is asked how long a table is locked.
const guessedRate = 20 << 20

// estimate goes by the earlier runs on the same table; if there are none, by
// those of the same action on any.
func estimate(item Item, past []Record) Estimate {
	var own, any []float64
	for _, r := range past {
		if r.Action != item.Action || r.Bytes <= 0 || r.Seconds <= 0 {
			continue
		}
		rate := float64(r.Bytes) / r.Seconds
		if r.Table == item.Name() {
			own = append(own, rate)
		} else if r.Bytes >= 1<<20 { // what is small says nothing of what is large
			any = append(any, rate)
		}
	}
	rates := own
	if len(rates) == 0 {
		rates = any
	}
	if len(rates) > 0 {
		slices.Sort(rates)
		return Estimate{seconds(float64(item.Bytes()) / rates[len(rates)/2]), true}
	}
	if !item.Locked {
		return Estimate{}
	}
	return Estimate{seconds(float64(item.Bytes()) / guessedRate), false}
}

// longest keeps an absurd rate from overflowing.
const longest = 30 * 24 * time.Hour

func seconds(s float64) time.Duration {
	return min(time.Duration(min(s, longest.Seconds())*float64(time.Second)), longest)
}
