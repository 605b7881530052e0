package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

const (
	mediaDirs  = 1000
	mediaFiles = 100 // in each directory
	mediaSize  = 32_000
)

// mediaFilesOf measures snapshots of a tree: 100,000 files in 1,000 directories, 1.6 GB. Both sides end with everything
// on stable storage: rsync by a sync of the file system, forgectl by itself.
func mediaFilesOf(ctx context.Context, b *bench) error {
	if err := b.makeTree(); err != nil {
		return err
	}
	yaml := strings.NewReplacer("{dir}", b.dir).Replace("repository: {dir}/repository\nstate_dir: {dir}/state\nmedia: {path: {dir}/tree}\nbackup: {prune: manual}\nguard: {shrink: off}\n")
	if err := os.WriteFile(b.path("media.yaml"), []byte(yaml), 0o600); err != nil {
		return err
	}
	for _, step := range []func(context.Context) error{b.firstSnapshot, b.nextSnapshots, b.verifyTree} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) makeTree() error {
	if _, err := os.Stat(b.path("tree")); err == nil {
		return nil
	}
	r := rand.New(rand.NewPCG(1, 1)) //nolint:gosec // the same tree each time
	data := make([]byte, 1<<20)
	for i := range data {
		data[i] = byte(r.Uint32())
	}
	for d := range mediaDirs {
		dir := b.path(fmt.Sprintf("tree/%04d", d))
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
		for f := range mediaFiles {
			size := 1 + r.IntN(mediaSize)
			at := r.IntN(len(data) - size)
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%03d.bin", f)), data[at:at+size], 0o600); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *bench) snapshot(ctx context.Context) error {
	return b.ours(ctx, "media.yaml", "backup", "media")
}

// rsyncLine is what a script would do, with the same promise at its end.
const rsyncLine = `mkdir -p copies && last=$(ls copies | tail -1) && next=$(printf %06d $((10#${last:-0} + 1)))
rsync -a ${last:+--link-dest="$PWD/copies/$last"} tree/ "copies/$next/" && sync -f copies`

func (b *bench) rsync(ctx context.Context) error { return b.shell(ctx, rsyncLine) }

func (b *bench) firstSnapshot(ctx context.Context) error {
	return b.try(ctx, trial{
		title: "media: first snapshot",
		contenders: []contender{
			{name: "rsync -a, sync", before: b.remove("copies"), run: b.rsync},
			{name: "forgectl backup media", before: b.repository, run: b.snapshot},
		},
		against: []string{"rsync -a, sync"},
	})
}

// nextSnapshots measures each run after one of the same kind: nobody links to a tree that the other has made.
func (b *bench) nextSnapshots(ctx context.Context) error {
	const rsync = "rsync -a --link-dest, sync"
	again := func(before func(context.Context) error) []contender {
		return []contender{
			{name: rsync, before: before, run: b.rsync},
			{name: "forgectl backup media", before: before, run: b.snapshot},
		}
	}
	unchanged := append(again(nil), contender{name: onlyLinks, before: b.remove("linked"), run: func(context.Context) error { return b.linkTree() }})
	if err := b.try(ctx, trial{title: "media: nothing has changed", contenders: unchanged, against: []string{rsync, onlyLinks}}); err != nil {
		return err
	}
	if err := b.coldSnapshots(ctx, again(dropCaches), rsync); err != nil {
		return err
	}
	changed := again(nil)
	for i := range changed {
		run := changed[i].run
		changed[i].before = func(ctx context.Context) error {
			// What the other contender's change left is caught up with first.
			return errors.Join(run(ctx), b.changeTree())
		}
	}
	if err := b.try(ctx, trial{title: "media: 1 % of the files have changed", contenders: changed, against: []string{rsync}}); err != nil {
		return err
	}
	return b.shell(ctx, `test -z "$(rsync -aHAXn --checksum --delete --itemize-changes tree/ repository/media/latest/tree/)"`)
}

// coldSnapshots is an unchanged run as at night, when others have used the memory since the last one.
func (b *bench) coldSnapshots(ctx context.Context, contenders []contender, rsync string) error {
	const title = "media: nothing has changed, cold cache"
	if err := dropCaches(ctx); err != nil {
		fmt.Printf("\n%s\nleft out: %v\n", title, err)
		return nil
	}
	return b.try(ctx, trial{title: title, contenders: contenders, against: []string{rsync}})
}

// dropCaches has the kernel forget what it knows of the file systems; only root may, and not in every container.
func dropCaches(context.Context) error {
	syscall.Sync()
	return os.WriteFile("/proc/sys/vm/drop_caches", []byte("3"), 0)
}

// onlyLinks is the bound: what any tool has to do that makes a tree of hard links.
const onlyLinks = "a walk that only links, sync"

// linkTree walks the newest snapshot on all cores, makes its directories, and links its files: it looks at no metadata,
// compares with nothing, and writes no index.
func (b *bench) linkTree() error {
	from, to := b.path("repository/media/latest/tree"), b.path("linked")
	dirs, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	if err := os.Mkdir(to, 0o700); err != nil {
		return err
	}
	var group errgroup.Group
	group.SetLimit(runtime.NumCPU())
	for _, d := range dirs {
		group.Go(func() error { return linkDir(filepath.Join(from, d.Name()), filepath.Join(to, d.Name())) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	f, err := os.Open(to)
	if err != nil {
		return err
	}
	return errors.Join(unix.Syncfs(int(f.Fd())), f.Close())
}

func linkDir(from, to string) error {
	if err := os.Mkdir(to, 0o700); err != nil {
		return err
	}
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := os.Open(to)
	if err != nil {
		return err
	}
	defer target.Close()
	names, err := source.Readdirnames(-1)
	for _, name := range names {
		err = errors.Join(err, unix.Linkat(int(source.Fd()), name, int(target.Fd()), name, 0))
	}
	return err
}

// changeTree rewrites one file in a hundred, another one each time.
func (b *bench) changeTree() error {
	b.changes++
	for d := range mediaDirs {
		name := b.path(fmt.Sprintf("tree/%04d/%03d.bin", d, b.changes%mediaFiles))
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		data[0]++
		if err := os.WriteFile(name, data, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// verifyTree compares with what checks a list of sums on all cores.
func (b *bench) verifyTree(ctx context.Context) error {
	if err := b.shell(ctx, "cd repository/media/latest/tree && find . -type f -print0 | xargs -0 sha256sum > ../../../../sums"); err != nil {
		return err
	}
	sums := "cd repository/media/latest/tree && sha256sum --check --quiet ../../../../sums"
	parallel := fmt.Sprintf("cd repository/media/latest/tree && xargs -a ../../../../sums -d '\\n' -n 2000 -P %d sh -c 'printf \"%%s\\n\" \"$@\" | sha256sum --check --quiet' sh", runtime.NumCPU())
	return b.try(ctx, trial{
		title: "media: verify",
		contenders: []contender{
			{name: "sha256sum --check", run: func(ctx context.Context) error { return b.shell(ctx, sums) }},
			{name: "the same, on all cores", run: func(ctx context.Context) error { return b.shell(ctx, parallel) }},
			{name: "forgectl backup verify", run: func(ctx context.Context) error { return b.ours(ctx, "media.yaml", "backup", "verify", "media/latest") }},
		},
		against: []string{"the same, on all cores"},
	})
}
