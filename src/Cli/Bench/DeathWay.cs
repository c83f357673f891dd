namespace Quietus.Cli.Bench;
/// <summary>How a VM's memory goes.</summary>
internal static class DeathWay
{
    /// <summary>The VM is killed in mid-run: the whole Stage-2 is released.</summary>
    public const string Kill = "kill";
    /// <summary>Its memory is unmapped, by a notifier range of event UNMAP, while its vCPUs live.</summary>
    public const string Unmap = "unmap";
    public static readonly string[] All = [Kill, Unmap];
}
