namespace Quietus.Cli.Bench;
/// <summary>Who is told how a bench run gets on. Calls come from several threads.</summary>
internal interface IBenchProgress
{
    /// <summary>A VM is about to be created.</summary>
    void Begins(BenchCase what);
    /// <summary>A death has been measured.</summary>
    void Measured(BenchRow row);
}
