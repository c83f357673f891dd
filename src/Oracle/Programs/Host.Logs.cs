using System;
using Quietus.Oracle.Judging;
using Quietus.Stage2;

namespace Quietus.Oracle.Programs;

// Whoever reads the dirty logs, as a migration does: it copies every page once, and then goes by the log.
public partial class Host<TFormat, TMachine>
{
    /// <summary>Pages that programs use, of a slot of pool memory; files others write too, past any log.</summary>
    private static int PlacesOf(int region) =>
        region == BlockRegion ? _blockPages.Length : region == HugeRegion ? 0 : SmallPages;

    private static Place LoggedPlace(int region, int index) =>
        PlaceOf((region == BlockRegion ? BlockRegion : SmallRegion) | (index << 2));

    /// <summary>Logging has begun: whatever is mapped is copied, and the log says what is to be copied again.</summary>
    private void CopyAll(Guest guest, int region)
    {
        for (int index = 0; index < PlacesOf(region); index++)
        {
            if (TryFrame(guest, LoggedPlace(region, index), out Pa frame))
            {
                Judge.CopyLogged(frame);
            }
        }
    }

    /// <summary>A log was read: what it names is copied again, and the rest must be what was copied.</summary>
    private void CopyDirty(Guest guest, int region, ulong start, ReadOnlySpan<ulong> dirty)
    {
        for (int index = 0; index < PlacesOf(region); index++)
        {
            Place place = LoggedPlace(region, index);
            if (!TryFrame(guest, place, out Pa frame))
            {
                continue;
            }

            int page = (int)((place.Ipa - start) >> TFormat.GranuleShift);
            if ((dirty[page >> 6] >> (page & 63) & 1) != 0)
            {
                Judge.CopyLogged(frame);
            }
            else
            {
                Judge.CheckUnlogged(frame, "the migration", WhereOf(place));
            }
        }
    }

    private static bool TryFrame(Guest guest, Place place, out Pa frame)
    {
        Translation there = guest.Memory.Translate(ref guest.Machine, new Ipa(place.Ipa));
        frame = new Pa(there.IsMapped ? there.Output.Value & ~(Granule - 1) : 0);
        return there.IsMapped;
    }
}
