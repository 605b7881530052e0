package retention

import (
	"fmt"
	"time"
)

// slot is one day, week, month or year: a number that is the same for all moments in it.
type slot struct {
	of   func(time.Time) int
	name func(time.Time) string
	keep int
}

// slots are the calendar rules. The calendar is that of UTC, as in the names of sets.
func (p Policy) slots() []slot {
	return []slot{
		{func(t time.Time) int { return t.Year()*1000 + t.YearDay() }, func(t time.Time) string { return "daily " + t.Format("2006-01-02") }, p.Daily},
		{week, func(t time.Time) string { return fmt.Sprintf("weekly %d-W%02d", week(t)/100, week(t)%100) }, p.Weekly},
		{func(t time.Time) int { return t.Year()*100 + int(t.Month()) }, func(t time.Time) string { return "monthly " + t.Format("2006-01") }, p.Monthly},
		{time.Time.Year, func(t time.Time) string { return "yearly " + t.Format("2006") }, p.Yearly},
	}
}

// week is the ISO week, which at the turn of the year may belong to another year than the day does.
func week(t time.Time) int {
	year, week := t.ISOWeek()
	return year*100 + week
}

// keepSlots keeps the newest good set of each of the most recent slots that have one. A slot without any takes no
// place: after a month without backups there are still so many weeks.
func (r *run) keepSlots() {
	for _, s := range r.slots() {
		filled, last := 0, 0
		for _, i := range r.good {
			t := r.decisions[i].Item.Time.UTC()
			if filled > 0 && s.of(t) == last {
				continue
			}
			if filled >= s.keep {
				break
			}
			filled, last = filled+1, s.of(t)
			r.keep(i, s.name(t))
		}
	}
}
