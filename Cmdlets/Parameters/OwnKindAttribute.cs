using System.Management.Automation;

namespace C10kServer.Parameters;

/// <summary>Turns away an object of this module that is of another kind than the cmdlet acts on, and copies of such objects.</summary>
/// <remarks>
/// All kinds have an Id, and -Id takes one from the pipeline by that name. So a server that is piped into
/// Close-C10kConnection would close the connection that happens to have the server's number, and a row of another
/// process the one that has its number here.
/// </remarks>
[AttributeUsage(AttributeTargets.Property | AttributeTargets.Field)]
public sealed class OwnKindAttribute(Type kind) : ArgumentTransformationAttribute
{
    /// <summary>The kind that is wanted.</summary>
    public Type Kind { get; } = kind;

    /// <summary>Hands on what is of the right kind, or none of ours.</summary>
    /// <param name="engineIntrinsics">Not used.</param>
    /// <param name="inputData">What was given.</param>
    /// <returns>The same.</returns>
    public override object Transform(EngineIntrinsics engineIntrinsics, object inputData)
    {
        OwnObjects.RefuseCopy(inputData);

        // A connection in a handler's hands is that connection, and may be taken by its Id.
        object? value = Argument.Unwrap(inputData);
        if (OwnObjects.IsOwn(value) && value!.GetType() != Kind && !(value is LiveConnection && Kind == typeof(Connection)))
        {
            string advice = Kind == typeof(Connection)
                ? "Put Get-C10kConnection between: it takes servers, workers and the like, and writes their connections."
                : "Put Get-C10kServer between: it takes connections, workers and the like, and writes their server.";
            throw new ArgumentTransformationMetadataException(
                $"A {value.GetType().Name} was given where a {Kind.Name} is wanted. {advice}");
        }

        return inputData;
    }
}
