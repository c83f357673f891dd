using System;
using Quietus.Stage2;
using Quietus.Stage2.Tests;
using Xunit;

namespace Quietus.Architectures.Tests;

/// <summary>
/// The engine on the formats of other architectures, against the plain model: map, unmap, protect, age, split, replace.
/// Program and model are Stage2.Tests'.
/// </summary>
public sealed class RandomProgramTests
{
    private const int Programs = 4;
    private const int Steps = 40;

    // Outputs reach above the input size, and LPAE has 40 bits for them.
    [Theory]
    [InlineData(32)]
    [InlineData(36)]
    [InlineData(39)]
    public void Tables_of_lpae_do_what_the_model_does(int ipaBits) => Check<Lpae>(ipaBits);

    [Theory]
    [InlineData(39)]
    [InlineData(48)]
    public void Tables_of_ept_do_what_the_model_does(int ipaBits) => Check<Ept>(ipaBits);

    [Theory]
    [InlineData(39)]
    [InlineData(48)]
    public void Tables_of_npt_do_what_the_model_does(int ipaBits) => Check<Npt>(ipaBits);

    [Theory]
    [InlineData(40)]
    [InlineData(48)]
    public void Tables_of_power9_radix_do_what_the_model_does(int ipaBits) => Check<PowerRadix>(ipaBits);

    private static void Check<TFormat>(int ipaBits)
        where TFormat : struct, IDescriptorFormat
    {
        Random random = new(20191213 + ipaBits);
        for (int program = 0; program < Programs; program++)
        {
            ulong[] steps = new ulong[Steps];
            for (int step = 0; step < Steps; step++)
            {
                steps[step] = (ulong)random.NextInt64(1L << 62);
            }

            // FEAT_S2FWB, ranges, hints and break-before-make are Arm's: a machine without them.
            new Program<TFormat>(ipaBits, 0).Run(steps);
        }
    }
}
