package media

import "sync"

// inode identifies a file of the source.
type inode struct{ dev, ino uint64 }

// linkTable knows where the first name of each file with several names went. Who claims an inode first writes the
// file; who comes later waits for that and makes a hard link. Nobody waits who is waited for: a claim is settled by the
// one that holds it, in one go. Memory is for inodes of which names are still missing.
type linkTable struct {
	mu    sync.Mutex
	known map[inode]*claimed
}

type claimed struct {
	settled chan struct{}
	ok      bool
	entry   Entry // of the first name, when ok
	missing uint64
}

func newLinkTable() *linkTable { return &linkTable{known: map[inode]*claimed{}} }

// claim returns the link, and whether it is the caller's to settle.
func (t *linkTable) claim(key inode, names uint64) (l *claimed, mine bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if l := t.known[key]; l != nil {
		if l.missing--; l.missing == 0 {
			delete(t.known, key)
		}
		return l, false
	}
	l = &claimed{settled: make(chan struct{}), missing: names - 1}
	t.known[key] = l
	return l, true
}

// settle tells who waits what became of it: nil is nothing, and they are on their own.
func (l *claimed) settle(e *Entry) {
	if e != nil {
		l.entry, l.ok = *e, true
	}
	close(l.settled)
}

// forget drops an inode that has no file in the tree, so that another name tries.
func (t *linkTable) forget(key inode, l *claimed) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.known[key] == l {
		delete(t.known, key)
	}
}
