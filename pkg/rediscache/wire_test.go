package rediscache

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bmad-forge/forgectl/pkg/rediscache/redistest"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func openWire(t *testing.T, o Options) *Wire {
	t.Helper()
	c, err := Open(t.Context(), o)
	must(t, err)
	t.Cleanup(func() { _ = c.Close() })
	w, err := OpenWire(t.Context(), c.Client())
	must(t, err)
	t.Cleanup(func() { _ = w.Close() })
	return w
}

// Promise: the wire goes where the client goes, as the same user and into the same database: by TCP, a socket, TLS and
// Sentinel. Commands that are sent together are answered one by one, and a refusal is of one command.
func TestWire(t *testing.T) {
	plain := redistest.Start(t, "--requirepass", "hunter2")
	certs := redistest.NewCertificates(t)
	secure, port := certs.Start(t, "--user", "app", "on", ">hunter2", "~bmad:*", "+@all")
	tls := Options{URL: "rediss://app@127.0.0.1:" + port + "/3", Password: "hunter2", CAFile: certs.CA, CertFile: certs.Cert, KeyFile: certs.Key}
	sentinel := redistest.StartSentinel(t)
	for name, tt := range map[string]struct {
		o      Options
		on     *redistest.Server
		number int
		pass   string
	}{
		"tcp":      {Options{URL: strings.Replace(plain.URL(), "/0", "/2", 1), Password: "hunter2"}, plain, 2, "hunter2"},
		"socket":   {Options{URL: plain.SocketURL() + "?db=1", Password: "hunter2"}, plain, 1, "hunter2"},
		"TLS, ACL": {tls, secure, 3, ""},
		"sentinel": {Options{URL: sentinel.URL()}, sentinel.Master, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := openWire(t, tt.o)
			var commands []byte
			commands = AppendSet(commands, []byte("bmad:\r\n$-1\r\n\x00"), []byte("*1\r\n"), time.Hour, false)
			commands = AppendSet(commands, []byte("bmad:\r\n$-1\r\n\x00"), nil, 0, true)
			commands = appendCommand(commands, []string{"SET", "bmad:list"})
			commands = appendUnlink(commands, []string{"bmad:\r\n$-1\r\n\x00", "bmad:none"})
			must(t, w.Write(commands))
			if set, err := w.Set(); err != nil || !set {
				t.Errorf("set %t, %v", set, err)
			}
			if set, err := w.Set(); err != nil || set {
				t.Errorf("set what is there: %t, %v", set, err)
			}
			var refused ReplyError
			if _, err := w.Set(); !errors.As(err, &refused) {
				t.Errorf("half a command: %v", err)
			}
			if n, known, err := w.number(); err != nil || !known || n != 1 {
				t.Errorf("%d, %t, %v", n, known, err)
			}
			// It is there where the client looks, and nowhere else.
			must(t, w.Write(AppendSet(nil, []byte("bmad:here"), []byte("x"), 0, false)))
			if _, err := w.Set(); err != nil {
				t.Fatal(err)
			}
			other := tt.on.Client(t)
			if tt.pass != "" {
				must(t, other.Do(t.Context(), "AUTH", tt.pass).Err())
			}
			info, err := other.Info(t.Context(), "keyspace").Result()
			must(t, err)
			if !strings.Contains(info, fmt.Sprintf("db%d:keys=1,", tt.number)) {
				t.Errorf("the keys are elsewhere: %s", info)
			}
		})
	}
}

// Promise: a server that dies, or freezes, is an error within the time limit, and the limit moves when there is a hurry.
func TestWireLost(t *testing.T) {
	s := redistest.Start(t)
	w := openWire(t, Options{URL: s.URL()})
	s.Kill()
	_ = w.Write(appendScan(nil, 0, "")) // may still go into the socket's buffer
	if _, err := w.cursor(); err == nil || !passing(Explain(err)) {
		t.Errorf("a server that is dead: %v", err)
	}
	s = redistest.Start(t)
	w = openWire(t, Options{URL: s.URL(), Timeout: time.Hour})
	s.Freeze(t)
	defer s.Thaw(t)
	must(t, w.Write(appendScan(nil, 0, "")))
	ended := make(chan error, 1)
	go func() {
		_, err := w.cursor()
		ended <- err
	}()
	w.Hurry(time.Now().Add(10 * time.Millisecond))
	select {
	case err := <-ended:
		if !errors.Is(Explain(err), errTime) {
			t.Errorf("a server that is frozen: %v", err)
		}
	case <-time.After(time.Minute):
		t.Error("it waits for ever")
	}
}

// Promise: what a server refuses is told by its name: it loads its data, is a replica, is full.
func TestWireRefused(t *testing.T) {
	set := func(w *Wire) error {
		must(t, w.Write(AppendSet(nil, []byte("bmad:1:a"), make([]byte, 100_000), 0, false)))
		_, err := w.Set()
		return Explain(err)
	}
	full := redistest.Start(t, "--maxmemory", "1", "--maxmemory-policy", "noeviction")
	if err := set(openWire(t, Options{URL: full.URL()})); !errors.Is(err, ErrFull) {
		t.Errorf("full: %v", err)
	}
	master := redistest.Start(t)
	replica := redistest.Start(t, "--replicaof", "127.0.0.1", fmt.Sprint(master.Port))
	if err := set(openWire(t, Options{URL: replica.URL()})); !errors.Is(err, ErrReadOnly) {
		t.Errorf("replica: %v", err)
	}
	s := redistest.Start(t)
	must(t, s.Client(t).Do(t.Context(), "DEBUG", "POPULATE", "100000", "bmad:1:k", "200").Err())
	must(t, s.Client(t).Do(t.Context(), "SAVE").Err())
	s.Kill()
	again := redistest.StartIn(t, s.Dir, "--key-load-delay", "2000", "--loading-process-events-interval-bytes", "1024")
	if _, err := OpenWire(t.Context(), again.Client(t)); !errors.Is(err, ErrLoading) {
		t.Errorf("loading: %v", err)
	}
}

// scanned reads an answer to SCAN from bytes.
func scanned(reply []byte) (uint64, []string, error) {
	w := &Wire{replies: bufio.NewReaderSize(bytes.NewReader(reply), 4096)}
	next, err := w.cursor()
	if err != nil {
		return 0, nil, err
	}
	keys, err := w.keys(&page{})
	return next, keys, err
}

// Promise: keys come as they are, whatever is in them and however long they are; what is no answer to SCAN is an error.
func TestWireKeys(t *testing.T) {
	long := strings.Repeat("x", 10_000)
	want := []string{"", "a", "\r\n", "$3\r\nabc\r\n", "\x00\xff", long}
	reply := []byte("*2\r\n$20\r\n18446744073709551615\r\n*6\r\n")
	for _, k := range want {
		reply = appendBulk(reply, k)
	}
	next, keys, err := scanned(reply)
	if err != nil || next != 1<<64-1 || !slices.Equal(keys, want) {
		t.Errorf("%d, %q, %v", next, keys, err)
	}
	for n := range reply {
		if _, _, err := scanned(reply[:n]); err == nil {
			t.Errorf("cut after %d bytes, and nothing is said", n)
		}
	}
	for _, bad := range []string{"*3\r\n", "*2\r\n:1\r\n", "*2\r\n$1\r\nx\r\n*0\r\n", "*2\r\n$1\r\n0\r\n*-1\r\n", "*2\r\n$1\r\n0\r\n$1\r\na\r\n", "\r\n", "*2\r\n$1\r\n0\r\n*1\r\n$-1\r\n", "-ERR no\r\n"} {
		if next, keys, err := scanned([]byte(bad)); err == nil {
			t.Errorf("%q is %d, %q", bad, next, keys)
		}
	}
}

// Promise: whatever a server answers, reading it ends, and takes no more memory than what came.
func FuzzWireKeys(f *testing.F) {
	for _, seed := range []string{"*2\r\n$1\r\n0\r\n*2\r\n$1\r\na\r\n$0\r\n\r\n", "*2\r\n$1\r\n7\r\n*0\r\n", "*2\r\n$1\r\n0\r\n*9223372036854775807\r\n", "*2\r\n$1\r\n0\r\n*1\r\n$9223372036854775807\r\nab", "-LOADING x\r\n", "\r\r\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, reply []byte) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, keys, err := scanned(reply)
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; took > 1<<20+uint64(200*len(reply)) {
			t.Errorf("%d bytes of memory for %d bytes", took, len(reply))
		}
		total := 0
		for _, k := range keys {
			total += len(k)
		}
		if err == nil && total > len(reply) {
			t.Errorf("%d bytes of keys from %d bytes", total, len(reply))
		}
	})
}
