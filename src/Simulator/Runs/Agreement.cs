using System;
using Quietus.Stage2;

namespace Quietus.Simulator;

/// <summary>
/// The invariant of every notifier: a VM sees no page that its host does not map there, and may not write where the
/// host may not. Throws where it is broken.
/// </summary>
/// <param name="process">The process that owns the VM.</param>
/// <param name="offset">What to add to a guest-physical address to get the process's.</param>
internal struct Agreement(HostProcess process, ulong offset) : ILeafVisitor
{
    private const ulong PageBytes = 4096;

    /// <summary>Pages that were compared.</summary>
    internal long Checked;

    public void Visit(Ipa ipa, Pa output, int level, LeafAttributes attributes)
    {
        ulong bytes = HostFrames.BytesOf(level);
        ulong start = ipa.Value & ~(bytes - 1);
        ulong first = output.Value & ~(bytes - 1);

        // All of a page; of a block its first and its last page, as the host maps it whole or by parts.
        ulong step = level == 3 ? PageBytes : bytes - PageBytes;
        for (ulong at = 0; at < bytes; at += step)
        {
            Pa host = process.Translate(start + at + offset, out bool isWritable);
            if (host.Value != first + at || (attributes.Write && !isWritable))
            {
                throw new InvalidOperationException(
                    $"The VM maps {start + at:x} to {first + at:x} ({(attributes.Write ? "writable" : "read-only")}), "
                    + $"the host to {host.Value:x} ({(isWritable ? "writable" : "read-only")}).");
            }

            Checked++;
        }
    }
}
