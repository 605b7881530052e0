package rediscache

import "testing"

// Promise: what is particular to one key becomes a star, and nothing else does.
func TestGroup(t *testing.T) {
	p := Prefix{"bmad", 1}
	for key, want := range map[string]string{
		"bmad:1:template:42":      "bmad:1:template:*",
		"bmad:1:template:42:html": "bmad:1:template:*:html",
		"bmad:2:template:42":      "bmad:2:template:*",
		":1:front":                ":1:front",
		"bmad:1:doc:0f8fad5b-d9cb-469f-a165-70867728950e":                      "bmad:1:doc:*",
		"bmad:1:page.GET.d41d8cd98f00b204e9800998ecf8427e.en":                  "bmad:1:page.GET.*.en",
		"bmad:1:django.contrib.sessions.cache0123456789abcdefghijklmnopqrstuv": "bmad:1:django.contrib.sessions.cache*",
		"bmad:1:user_17":       "bmad:1:user_*",
		"bmad:1:a:1:2:3":       "bmad:1:a:*",
		"bmad:1:\x00\xff\x80":  "bmad:1:*",
		"bmad:1:line\nbreak:7": "bmad:1:*",
		"bmad:1:a*b":           "bmad:1:*",
		"celery-task-meta-0f8fad5b-d9cb-469f-a165-70867728950e": "celery-task-meta-*",
		"queue":                       "queue",
		"1234:1:x":                    "*:x",
		"":                            "",
		"bmad:1:":                     "bmad:1:",
		"bmad:1:Zm9vYmFyQmF6MTIzNDU2": "bmad:1:*",
	} {
		if got := p.Group(key); got != want {
			t.Errorf("%q is %q, want %q", key, got, want)
		}
	}
}
