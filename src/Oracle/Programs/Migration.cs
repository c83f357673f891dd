using System;
using Quietus.Stage2;

namespace Quietus.Oracle.Programs;

/// <summary>
/// Reads dirty logs as a migration does: it copies every page once, and then goes by the log. Of the huge file it
/// copies nothing, for processes of the host write it too, past any log.
/// </summary>
internal sealed class Migration<TFormat, TMachine>(ProgramMachine<TFormat, TMachine> machine)
    where TFormat : struct, IDescriptorFormat
    where TMachine : struct, Quietus.Memory.IMemoryMachine
{
    /// <summary>Logging has begun: what is mapped is copied, and the log says what is to be copied again.</summary>
    public void CopyAll(Guest<TFormat, TMachine> guest, Region region)
    {
        for (int index = 0; index < PlacesOf(region); index++)
        {
            if (TryFrame(guest, Places<TFormat>.At(region, index), out Pa frame))
            {
                machine.Judge.CopyLogged(frame);
            }
        }
    }

    /// <summary>A log was read: what it names is copied again, and the rest must be what was copied.</summary>
    public void CopyDirty(Guest<TFormat, TMachine> guest, Region region, ReadOnlySpan<ulong> dirty)
    {
        for (int index = 0; index < PlacesOf(region); index++)
        {
            Place place = Places<TFormat>.At(region, index);
            if (!TryFrame(guest, place, out Pa frame))
            {
                continue;
            }

            int page = (int)((place.Ipa - Places<TFormat>.StartOf(region)) >> TFormat.GranuleShift);
            if ((dirty[page >> 6] >> (page & 63) & 1) != 0)
            {
                machine.Judge.CopyLogged(frame);
            }
            else
            {
                machine.Judge.CheckUnlogged(frame, "the migration", Places<TFormat>.WhereOf(place));
            }
        }
    }

    private static int PlacesOf(Region region) => region == Region.Huge ? 0 : Places<TFormat>.CountIn(region);

    private static bool TryFrame(Guest<TFormat, TMachine> guest, Place place, out Pa frame)
    {
        Translation there = guest.Translate(place.Ipa);
        frame = new Pa(there.IsMapped ? there.Output.Value & ~(Places<TFormat>.Granule - 1) : 0);
        return there.IsMapped;
    }
}
