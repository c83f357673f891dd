using System;

namespace Quietus.Memory;

/// <summary>The policies by the names that people type and programs send.</summary>
public static class PolicyNames
{
    /// <summary>How many there are.</summary>
    public const int Count = (int)MaintenancePolicy.TablesOnly + 1;

    /// <summary>The policy at a place in the order of the story: from Linux 5.5 to the default, the last.</summary>
    public static MaintenancePolicy At(int place) =>
        place + 1 < Count ? (MaintenancePolicy)(place + 1) : MaintenancePolicy.Fate;

    public static ReadOnlySpan<byte> NameOf(MaintenancePolicy policy) => policy switch
    {
        MaintenancePolicy.BeforeSeries => "before-series"u8,
        MaintenancePolicy.Patch5 => "patch5"u8,
        MaintenancePolicy.Patch6 => "patch6"u8,
        MaintenancePolicy.Patch7 => "patch7"u8,
        MaintenancePolicy.Series => "series"u8,
        MaintenancePolicy.TablesOnly => "tables-only"u8,
        _ => "fate"u8,
    };

    /// <summary>The policy of a name; false where there is none.</summary>
    public static bool TryFind(ReadOnlySpan<byte> name, out MaintenancePolicy policy)
    {
        for (policy = MaintenancePolicy.Fate; policy <= MaintenancePolicy.TablesOnly; policy++)
        {
            if (name.SequenceEqual(NameOf(policy)))
            {
                return true;
            }
        }

        policy = MaintenancePolicy.Fate;
        return false;
    }
}
