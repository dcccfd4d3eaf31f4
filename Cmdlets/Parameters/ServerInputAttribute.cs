using System.Management.Automation;

namespace C10kServer.Parameters;

/// <summary>Takes servers and workers out of the pipeline before anything else does.</summary>
/// <remarks>
/// They have an Id as connections have, and -Id takes one by that name before the shell would convert the object. So a server that is
/// piped into Send-C10kData would be taken for the connection that happens to have its number.
/// </remarks>
[AttributeUsage(AttributeTargets.Property | AttributeTargets.Field)]
public sealed class ServerInputAttribute : ArgumentTransformationAttribute
{
    /// <summary>Turns a server or a worker into a selector; all else is left to the shell.</summary>
    /// <param name="engineIntrinsics">Not used.</param>
    /// <param name="inputData">What was given.</param>
    /// <returns>An array with the selector, or what was given.</returns>
    public override object Transform(EngineIntrinsics engineIntrinsics, object inputData)
    {
        OwnObjects.RefuseCopy(inputData);
        return Argument.Unwrap(inputData) switch
        {
            Server server => new[] { new ServerSelector(server) },
            Worker worker => new[] { new ServerSelector(worker) },
            _ => inputData,
        };
    }
}
