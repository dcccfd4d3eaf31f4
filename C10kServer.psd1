@{
    RootModule           = 'C10kServer.psm1'
    ModuleVersion        = '0.1.0'
    GUID                 = '5b1f6f0e-93e7-4f0b-9a55-1f0c7a5d2c10'
    Author               = 'the C10kServer contributors'
    CompanyName          = 'C10kServer'
    Copyright            = '(c) the C10kServer contributors. MIT License.'
    Description          = 'TCP servers inside PowerShell on Linux: ten thousand connections held by an epoll worker pool, started, inspected and closed through the pipeline.'
    PowerShellVersion    = '7.6'
    CompatiblePSEditions = @('Core')
    CmdletsToExport      = @(
        'Close-C10kConnection'
        'ConvertTo-C10kPrometheus'
        'Get-C10kConnection'
        'Get-C10kLog'
        'Get-C10kServer'
        'Get-C10kWorker'
        'Invoke-C10kLoad'
        'Measure-C10kServer'
        'Move-C10kConnection'
        'Restart-C10kServer'
        'Resume-C10kConnection'
        'Resume-C10kServer'
        'Send-C10kData'
        'Set-C10kServer'
        'Start-C10kServer'
        'Stop-C10kServer'
        'Suspend-C10kConnection'
        'Suspend-C10kServer'
        'Test-C10kServer'
        'Wait-C10kServer'
        'Watch-C10kConnection'
    )
    FunctionsToExport    = @()
    VariablesToExport    = @()
    AliasesToExport      = @()
    PrivateData          = @{
        PSData = @{
            Tags         = @('Linux', 'TCP', 'server', 'epoll', 'testing', 'PSEdition_Core')
            LicenseUri   = 'https://opensource.org/license/mit'
            ProjectUri   = 'https://www.powershellgallery.com/packages/C10kServer'
            ReleaseNotes = 'The first release: servers, connections, script and compiled handlers, metrics, logs and a load generator. CHANGELOG.md, which comes with the module, has it all.'
        }
    }
}
