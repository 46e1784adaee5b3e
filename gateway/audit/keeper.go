package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// keeper does in the background what no record waits for: it keeps a data key ready, erases what is due, and does the
// erasures that others ask for.
type keeper struct {
	l      *Log
	active atomic.Pointer[dataKey]
	cancel context.CancelFunc
	done   chan struct{}

	failed atomic.Pointer[keyError]
	known  knownKeys

	// Of the goroutine.
	wait   time.Duration // until the next try to make the first key
	later  time.Time     // no try to make the next key before
	steady steadiness
	swept  time.Time // by the monotonic clock

	mu      sync.Mutex
	retired map[uint32]*dataKey // data keys of this process that are not used any more

	erasing sync.Mutex // held by whoever erases
	index   index      // guarded by erasing
}

type keyError struct{ err error }

const (
	keeperTick = time.Second
	// keyRetry is the time between tries to replace a data key that can go on being used.
	keyRetry = time.Minute
	// wrapTimeout bounds the wait for the key ring.
	wrapTimeout = 20 * time.Second
	// openWait is how long Open waits for the first data key.
	openWait = 5 * time.Second
	// keyUses is after how many records another key is made, on the same day too: half of what a key may be used for (NIST
	// SP 800-38D 8.3: 2^32 with random nonces). At twice that number the log refuses.
	keyUses = 1 << 31
)

// start makes the first data key. Without one the log refuses, and tries again.
func (k *keeper) start(l *Log) {
	k.l, k.done, k.wait = l, make(chan struct{}), l.o.ProbeInterval
	k.retired, k.index = map[uint32]*dataKey{}, index{}
	k.swept, k.steady = time.Now(), steadySince(l.o.Now(), time.Now())
	var ctx context.Context
	ctx, k.cancel = context.WithCancel(context.Background())
	first, cancel := context.WithTimeout(ctx, openWait)
	defer cancel()
	k.renew(first)
	go k.run(ctx)
}

func (k *keeper) stop() {
	k.cancel()
	<-k.done
}

func (k *keeper) run(ctx context.Context) {
	defer close(k.done)
	for {
		tick := keeperTick
		if k.active.Load() == nil {
			tick = min(tick, k.wait)
			k.wait = min(2*k.wait, 16*k.l.o.ProbeInterval)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(tick):
		}
		k.step(ctx)
	}
}

func (k *keeper) step(ctx context.Context) {
	if k.active.Load() == nil || k.stale() && !time.Now().Before(k.later) {
		wrap, cancel := context.WithTimeout(ctx, wrapTimeout)
		k.renew(wrap)
		cancel()
	}
	if k.l.writable() != nil {
		return
	}
	if err := k.l.resumeBegun(ctx); err != nil && ctx.Err() == nil {
		k.l.o.Notice(fmt.Errorf("audit: completing an erasure: %w", err))
	}
	if err := k.l.answerRequest(ctx); err != nil && ctx.Err() == nil {
		k.l.o.Notice(err)
	}
	now := time.Now()
	settled := k.steady.look(k.l.o.Now(), now)
	if settled && now.Sub(k.swept) >= k.l.o.SweepInterval {
		k.swept = now
		if err := k.l.Sweep(ctx); err != nil && ctx.Err() == nil {
			k.l.o.Notice(fmt.Errorf("audit: erasing what is past its retention: %w", err))
		}
	}
}

// stale says that another data key is wanted: the day is over (or the clock was set to another), or it has sealed enough.
func (k *keeper) stale() bool {
	key := k.active.Load()
	last, _ := k.l.Head()
	return day(k.l.o.Now()) != day(key.made) || last-key.first > keyUses
}

func day(t time.Time) int64 { return t.Unix() / (24 * 60 * 60) }

// renew puts another data key to use. While that fails, the one before goes on being used: nothing is refused because of
// the day.
func (k *keeper) renew(ctx context.Context) {
	key, err := k.make(ctx)
	if err != nil {
		k.later = time.Now().Add(keyRetry)
		old := k.active.Load()
		if old != nil {
			if last, _ := k.l.Head(); last-old.first <= 2*keyUses-1<<24 {
				k.l.o.Notice(fmt.Errorf("audit: the data key of %s goes on being used: %w", old.made.Format(time.DateOnly), err))
				return
			}
			k.retire(old)
			k.active.Store(nil)
		}
		first := k.failed.Swap(&keyError{fmt.Errorf("%w: no data key: %w", ErrUnavailable, err)}) == nil
		if first {
			k.l.o.Notice(fmt.Errorf("audit: no data key: %w", err))
		}
		return
	}
	if old := k.active.Load(); old != nil {
		k.retire(old) // before the swap: whoever looks for idle keys finds it in one place or the other
	}
	k.active.Store(key)
	k.failed.Store(nil)
	k.wait = k.l.o.ProbeInterval
}

func (k *keeper) retire(key *dataKey) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.retired[key.number] = key
}

// idle lists the data keys that nothing is sealed with any more, nor on its way.
func (k *keeper) idle() ([]uint32, error) {
	numbers, err := listKeys(k.l.dir)
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.DeleteFunc(numbers, func(n uint32) bool {
		if a := k.active.Load(); a == nil || a.number <= n {
			return true // a greater one has just been made, and is about to be active
		}
		r := k.retired[n]
		return r != nil && r.inFlight.Load() > 0
	}), nil
}

// make makes a data key and has its wrapped form on disk before anything is sealed with it.
func (k *keeper) make(ctx context.Context) (*dataKey, error) {
	l := k.l
	number, err := nextKey(l.dir)
	if err != nil {
		return nil, err
	}
	bare := make([]byte, dataKeySize)
	defer clear(bare)
	if _, err := io.ReadFull(l.o.Rand, bare); err != nil {
		return nil, fmt.Errorf("randomness: %w", err)
	}
	wrapped, err := l.o.Keys.Wrap(ctx, bare, l.id.bound(number))
	if err != nil {
		return nil, fmt.Errorf("wrap: %w", err)
	}
	aead, err := newGCM(bare)
	if err != nil {
		return nil, err
	}
	last, _ := l.Head()
	key := &dataKey{number: number, aead: aead, made: l.o.Now().Round(0).UTC(), first: last}
	b, err := encodeSummed(keyJSON{Format: 1, Number: number, Made: key.made, Wrapped: wrapped})
	if err != nil {
		return nil, err
	}
	if err := writeFile(l.o.FS, keyPath(l.dir, number), b); err != nil {
		return nil, err
	}
	k.known.put(number, aead)
	return key, nil
}

// use gives the data key for one record, which counts as in flight until it is settled.
func (k *keeper) use() (*dataKey, error) {
	for {
		key := k.active.Load()
		if key == nil {
			if err := k.healthy(); err != nil {
				return nil, err
			}
			continue // it was made just now
		}
		key.inFlight.Add(1)
		if k.active.Load() == key {
			return key, nil
		}
		key.inFlight.Add(-1) // it was retired meanwhile and may be destroyed
	}
}

func (k *keeper) healthy() error {
	if k.active.Load() != nil {
		return nil
	}
	if f := k.failed.Load(); f != nil {
		return f.err
	}
	return nil
}

// steadiness watches whether the clock keeps pace with the monotonic one: nothing is erased because a clock was set wrong.
type steadiness struct {
	wall, mono time.Time // of the last look
	since      time.Time // monotonic: the clock has been steady since
}

const (
	// settleTime is how long a clock must have been steady before anything is erased by it.
	settleTime = time.Hour
	// drift that is no jump, in a look.
	drift = time.Minute
)

func steadySince(wall, mono time.Time) steadiness {
	return steadiness{wall: wall, mono: mono, since: mono}
}

// look says whether the clock has been steady long enough.
func (s *steadiness) look(wall, mono time.Time) bool {
	// Round takes the monotonic reading away: it is the wall clock that is looked at.
	d := wall.Round(0).Sub(s.wall.Round(0)) - mono.Sub(s.mono)
	if d.Abs() > drift {
		s.since = mono
	}
	s.wall, s.mono = wall, mono
	return mono.Sub(s.since) >= settleTime
}

// defaultKeys are LocalKeys in the file beside the log, made when they are first needed.
type defaultKeys struct {
	fs     FS
	dir    string
	random io.Reader

	once sync.Mutex
	keys *LocalKeys
}

func (d *defaultKeys) open(create bool) (*LocalKeys, error) {
	d.once.Lock()
	defer d.once.Unlock()
	if d.keys != nil {
		return d.keys, nil
	}
	var err error
	if create {
		if err := d.lost(); err != nil {
			return nil, err
		}
		d.keys, err = openLocalKeys(d.fs, LocalKeyFile(d.dir), d.random)
	} else if d.keys, err = ReadLocalKeys(LocalKeyFile(d.dir)); errors.Is(err, fs.ErrNotExist) {
		err = ErrSealed
	}
	return d.keys, err
}

// lost says that there are data keys whose local key is gone: another one would not open what is there.
func (d *defaultKeys) lost() error {
	numbers, err := listKeys(d.dir)
	if err != nil || len(numbers) == 0 {
		return err
	}
	_, err = ReadLocalKeys(LocalKeyFile(d.dir))
	if err == nil {
		return nil
	}
	return fmt.Errorf("the log has data keys, and the local key that they are wrapped under cannot be read: %w", err)
}

func (d *defaultKeys) Wrap(ctx context.Context, key, bound []byte) (string, error) {
	k, err := d.open(true)
	if err != nil {
		return "", err
	}
	return k.Wrap(ctx, key, bound)
}

func (d *defaultKeys) Unwrap(ctx context.Context, wrapped string, bound []byte) ([]byte, error) {
	k, err := d.open(false)
	if err != nil {
		return nil, err
	}
	return k.Unwrap(ctx, wrapped, bound)
}
