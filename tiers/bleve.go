package tiers

import (
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/blevesearch/bleve/v2/util"
	zap "github.com/blevesearch/zapx/v17"
	bolt "go.etcd.io/bbolt"
)

// The files that make a compacted database a Bleve index, for tools that know
// Bleve. Nothing in this program reads them.
const (
	rootBoltName  = "root.bolt"
	indexMetaName = "index_meta.json"
	indexMeta     = `{"storage":"scorch","index_type":"scorch"}`
)

// bleveMapping is the mapping that such an index carries: keywords in fields made
// up as they come, which is what our terms are to Bleve.
const bleveMapping = `{"default_mapping":{"enabled":true,"dynamic":true},"type_field":"_type","default_type":"_default",` +
	`"default_analyzer":"keyword","default_datetime_parser":"dateTimeOptional","default_field":"body",` +
	`"store_dynamic":false,"index_dynamic":true,"docvalues_dynamic":false,"analysis":{}}`

// The epoch of the only snapshot in root.bolt, and the segment's number there.
const bleveEpoch = 3

// boltTimeout bounds waiting for the lock of a file that nobody else knows of.
const boltTimeout = 10 * time.Second

// writeRootBolt writes the store's root.bolt, synced, naming one segment.
func writeRootBolt(store, segment string, now time.Time) (err error) {
	path := filepath.Join(store, rootBoltName)
	db, err := util.OpenBolt(path, 0o600, &bolt.Options{Timeout: boltTimeout})
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	stamp, err := now.UTC().MarshalText()
	if err != nil {
		return err
	}
	err = db.Update(func(tx *util.BoltTxImpl) error { return fillRootBolt(tx, path, segment, stamp) })
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

func fillRootBolt(tx *util.BoltTxImpl, path, segment string, stamp []byte) error {
	w, err := util.NewFileWriter([]byte(path))
	if err != nil {
		return err
	}
	snapshots, err := tx.CreateBucketIfNotExists(util.BoltSnapshotsBucket)
	if err != nil {
		return err
	}
	epoch, err := snapshots.CreateBucketIfNotExists(uvarintAscending(bleveEpoch))
	if err != nil {
		return err
	}
	version := make([]byte, binary.MaxVarintLen32)
	binary.BigEndian.PutUint32(version, zap.Version)
	for _, b := range []struct {
		bucket []byte
		keys   [][2][]byte
	}{
		{util.BoltMetaDataKey, [][2][]byte{
			{util.BoltMetaDataSegmentTypeKey, []byte(zap.Type)},
			{util.BoltMetaDataSegmentVersionKey, version},
			{util.BoltMetaDataFileWriterIDKey, []byte(w.Id())},
			{util.BoltMetaDataTimeStamp, stamp},
		}},
		{util.BoltInternalKey, [][2][]byte{{util.MappingInternalKey, []byte(bleveMapping)}}},
		{uvarintAscending(mergedNumber), [][2][]byte{{util.BoltPathKey, []byte(segment)}}},
	} {
		bucket, err := epoch.CreateBucketIfNotExists(b.bucket)
		if err != nil {
			return err
		}
		for _, kv := range b.keys {
			if err := bucket.Put(kv[0], kv[1], w); err != nil {
				return err
			}
		}
	}
	return nil
}

// uvarintAscending encodes a number below 110 so that octets sort as numbers do:
// the form of scorch's keys.
func uvarintAscending(n uint8) []byte { return []byte{136 + n} }
