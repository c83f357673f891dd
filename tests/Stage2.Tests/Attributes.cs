using System.Collections.Generic;
using Quietus.Testing;

namespace Quietus.Stage2.Tests;

/// <summary>All attributes that a leaf can be given.</summary>
internal static class Attributes
{
    private static readonly Shareability[] Shareabilities =
        [Shareability.NonShareable, Shareability.OuterShareable, Shareability.InnerShareable];

    /// <summary>The eight combinations of read, write and execute-never, of accessed write-back memory.</summary>
    public static IEnumerable<LeafAttributes> Permissions
    {
        get
        {
            for (uint bits = 0; bits < 8; bits++)
            {
                LeafAttributes permissions = new((bits & 1) != 0, (bits & 2) != 0, (bits & 4) != 0, MemoryType.Device);
                yield return LeafAttributes.GuestMemory.WithPermissionsOf(permissions);
            }
        }
    }

    public static IEnumerable<LeafAttributes> All
    {
        get
        {
            foreach (LeafAttributes permissions in Permissions)
            {
                for (int type = 0; type < 3; type++)
                {
                    foreach (Shareability shareability in Shareabilities)
                    {
                        yield return With(permissions, (MemoryType)type, shareability, true);
                        yield return With(permissions, (MemoryType)type, shareability, false);
                    }
                }
            }
        }
    }

    private static LeafAttributes With(LeafAttributes permissions, MemoryType type, Shareability shareability,
        bool accessed) =>
        new(permissions.Read, permissions.Write, permissions.ExecuteNever, type, shareability, accessed);
}
