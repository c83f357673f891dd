namespace Quietus.Oracle.Judging;

// Tables that are cut off and that walk caches may still lead to: what is written there can be cached, too.
internal sealed partial class TlbModel
{
    /// <summary>An entry was written in a table that no root leads to, and to which a walk cache may.</summary>
    public void WriteUnlinked(int pe, TablePage table, int index, ulong old)
    {
        ulong location = table.Address + ((ulong)(uint)index << 3);
        ulong offset = (ulong)(uint)index << pages.LevelShift(table.Level);
        foreach (TlbTag tag in _tags)
        {
            int count = tag.Stale.Count;
            for (int number = 0; number < count; number++)
            {
                StaleItem walk = tag.Stale.Items[number];
                if (!walk.IsTable || walk.Target != table.Address || walk.Stage2Pes == 0)
                {
                    continue;
                }

                ulong ipa = walk.Ipa + offset;
                if (Descriptor.IsValid(old) && Find(tag, location, old, ipa) is >= 0 and int overwritten)
                {
                    tag.Stale.Unsee(overwritten, pe);
                    _unseenWriters |= 1U << pe;
                }

                Reach(pe, tag, walk.Stage2Pes, table.Level, ipa, location, table.Entries[index]);
            }
        }
    }

    /// <summary>PEs may walk to an entry that no root leads to.</summary>
    private void Reach(int pe, TlbTag tag, uint walkers, int level, ulong ipa, ulong location, ulong value)
    {
        if (!Descriptor.IsValid(value) || !Descriptor.IsCacheable(value, level))
        {
            return;
        }

        if (Find(tag, location, value, ipa) is >= 0 and int known)
        {
            tag.Stale.Items[known].Stage2Pes |= walkers;
            tag.Stale.Items[known].CombinedPes |= walkers;
        }
        else
        {
            CheckBroken(tag, level, ipa, location, value);
            StaleItem item = ItemOf(pe, level, ipa, location, value);
            item.SeenAt = clock.Now;
            item.Stage2Pes = item.CombinedPes = walkers;
            tag.Stale.Add(item);
        }

        if (Descriptor.IsTable(value, level)
            && store.Find(Descriptor.Output(value, pages.GranuleShift)) is TablePage { Links.Count: 0 } below)
        {
            below.Level = level + 1;
            below.MayBeWalked = true;
            for (int index = below.Low; index <= below.High; index++)
            {
                Reach(pe, tag, walkers, level + 1, ipa + ((ulong)(uint)index << pages.LevelShift(level + 1)),
                    below.Address + ((ulong)(uint)index << 3), below.Entries[index]);
            }
        }
    }

    private static int Find(TlbTag tag, ulong location, ulong value, ulong ipa)
    {
        for (int number = 0; number < tag.Stale.Count; number++)
        {
            ref StaleItem item = ref tag.Stale.Items[number];
            if (item.Location == location && item.Descriptor == value && item.Ipa == ipa && item.Pes != 0)
            {
                return number;
            }
        }

        return -1;
    }
}
