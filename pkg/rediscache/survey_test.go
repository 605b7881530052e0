package rediscache_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/bmad-forge/forgectl/pkg/rediscache"
	"github.com/bmad-forge/forgectl/pkg/rediscache/redistest"
)

// Promise: below the bound everything is exact.
func TestSurveyExact(t *testing.T) {
	s := redistest.Start(t)
	other := s.Client(t)
	for i := range 50 {
		must(t, other.Set(t.Context(), fmt.Sprint("bmad:1:template:", i), "x", time.Hour).Err())
	}
	must(t, other.Set(t.Context(), "bmad:1:front", string(make([]byte, 10_000)), 0).Err())
	must(t, other.RPush(t.Context(), "queue", "a", "b").Err())
	c := open(t, rediscache.Options{URL: s.URL()})
	got, err := c.Survey(t.Context(), rediscache.SurveyOptions{Selection: rediscache.Selection{Prefix: bmad, All: true}})
	must(t, err)
	if !got.Whole || got.Looked != 52 || len(got.Groups) != 3 || got.Biggest[0].Key != "bmad:1:front" || got.Biggest[0].Bytes < 10_000 {
		t.Fatalf("%+v", got)
	}
	g := got.Groups["bmad:1:template:*"]
	if bytes, plus := g.Estimate(); g.Keys != 50 || g.Sampled() || plus != 0 || bytes != g.Bytes || g.NoTTL != 0 || g.MeanTTL() > time.Hour || g.MeanTTL() < 50*time.Minute || g.Types["string"] != 50 {
		t.Errorf("%+v", g)
	}
	if g := got.Groups["queue"]; g.NoTTL != 1 || g.Types["list"] != 1 {
		t.Errorf("%+v", g)
	}
}

// Promise: above the bound counts stay exact, and bytes are within the error that is
// told (of which one in twenty is not: three times that is never seen).
func TestSurveySampled(t *testing.T) {
	s := redistest.Start(t)
	other := s.Client(t)
	for i := range 20 {
		must(t, other.Do(t.Context(), "DEBUG", "POPULATE", "1000", fmt.Sprint("bmad:1:t", i), fmt.Sprint(50+100*i)).Err())
	}
	c := open(t, rediscache.Options{URL: s.URL()})
	o := rediscache.SurveyOptions{Selection: rediscache.Selection{Prefix: bmad}}
	exact, err := c.Survey(t.Context(), o)
	must(t, err)
	o.Bound = 2000
	sampled, err := c.Survey(t.Context(), o)
	must(t, err)
	e, g := exact.Groups["bmad:1:t*"], sampled.Groups["bmad:1:t*"]
	if e == nil || g == nil {
		t.Fatalf("groups %v, %v", exact.Groups, sampled.Groups)
	}
	want, _ := e.Estimate()
	bytes, plus := g.Estimate()
	if g.Keys != 20_000 || !g.Sampled() || plus == 0 || g.Measured > 4000 || bytes < want-3*plus || bytes > want+3*plus {
		t.Errorf("%d ± %d of %d measured, want %d", bytes, plus, g.Measured, want)
	}
}

// Promise: a survey that was stopped goes on, and ends with what a whole one has.
func TestSurveyResume(t *testing.T) {
	s := redistest.Start(t)
	must(t, s.Client(t).Do(t.Context(), "DEBUG", "POPULATE", "20000", "bmad:1:t", "30").Err())
	c := open(t, rediscache.Options{URL: s.URL()})
	stop := errors.New("enough")
	o := rediscache.SurveyOptions{Selection: rediscache.Selection{Prefix: bmad}, Rate: 1000, Save: func(*rediscache.Survey) error { return stop }}
	part, err := c.Survey(t.Context(), o)
	if !errors.Is(err, stop) || part.Whole || part.Looked == 0 || part.Looked >= 20_000 {
		t.Fatalf("%+v, %v", part, err)
	}
	before := part.Looked
	o.Rate, o.Save, o.Resume = 0, nil, part
	whole, err := c.Survey(t.Context(), o)
	must(t, err)
	if g := whole.Groups["bmad:1:t:*"]; !whole.Whole || g.Keys != 20_000 || g.Measured != 20_000 || before == 0 {
		t.Errorf("%+v", g)
	}
}

// Promise: keys that this user may not look at are counted, and said to be; the others are measured.
func TestSurveyDenied(t *testing.T) {
	s := redistest.Start(t)
	must(t, s.Client(t).MSet(t.Context(), "bmad:1:a", "1", "other:b", "2").Err())
	must(t, s.Client(t).Do(t.Context(), "ACL", "SETUSER", "app", "on", ">secret", "~bmad:*", "+@all").Err())
	c := open(t, rediscache.Options{URL: strings.Replace(s.URL(), "redis://", "redis://app:secret@", 1)})
	survey, err := c.Survey(t.Context(), rediscache.SurveyOptions{Selection: rediscache.Selection{All: true}})
	must(t, err)
	if survey.Looked != 2 || survey.Denied != 1 || survey.Groups["bmad:1:a"].Measured != 1 || survey.Groups["other:b"].Measured != 0 {
		t.Errorf("%+v", survey)
	}
}
