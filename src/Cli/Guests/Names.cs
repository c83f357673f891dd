using System.Text;
using Quietus.Memory;
using Quietus.Wire;

namespace Quietus.Cli.Guests;

/// <summary>The names of the engine and of the protocol, as strings.</summary>
internal static class Names
{
    public static string Name(this DeathWay way) => Encoding.ASCII.GetString(DeathWays.NameOf(way));

    public static string Name(this KvmWay way) => Encoding.ASCII.GetString(KvmWays.NameOf(way));

    public static string Name(this ProbeWay way) => Encoding.ASCII.GetString(ProbeWays.NameOf(way));

    public static string Name(this KvmBirthWay way) => Encoding.ASCII.GetString(KvmBirthWays.NameOf(way));

    /// <summary>Of the two fates that an order can claim.</summary>
    public static string Name(this PageFate fate) => Encoding.ASCII.GetString(FateNames.NameOf(fate));
}
